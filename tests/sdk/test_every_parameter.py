"""Every parameter that openai-python can send, one by one and with a value that OpenAI takes.

The SDK's own tests send all of them at once, and some with values that OpenAI refuses.
"""

from typing import Any

import openai
import pytest

from tests.cast import Account

FUNCTION = {"name": "name", "description": "description", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": FUNCTION}
POLICY = {"input": {"mode": "score"}, "output": {"mode": "score"}}
FLAT = {"type": "function", **FUNCTION, "strict": True}
PLACE = {"city": "city", "country": "US", "region": "region", "timezone": "America/Chicago"}

CHAT: list[dict[str, Any]] = [
    {"frequency_penalty": -2},
    {"function_call": "none", "functions": [FUNCTION]},
    {"logit_bias": {"1734": 0}},
    {"logprobs": True, "top_logprobs": 0},
    {"max_completion_tokens": 16},
    {"max_tokens": 16},
    {"metadata": {"foo": "string"}},
    {"modalities": ["text"]},
    {"moderation": {"model": "omni-moderation-latest", "policy": POLICY}},
    {"n": 1},
    {"parallel_tool_calls": True, "tools": [TOOL]},
    {"prediction": {"content": "string", "type": "content"}},
    {"presence_penalty": -2},
    {"prompt_cache_key": "prompt-cache-key-1234"},
    {"prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
    {"prompt_cache_retention": "in_memory"},
    {"prompt_cache_retention": "24h"},
    {"reasoning_effort": "none"},
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        }
    },
    {"safety_identifier": "safety-identifier-1234"},
    {"seed": -9007199254740991},
    {"service_tier": "auto"},
    {"service_tier": "default"},
    {"stop": "\n"},
    {"stop": ["a", "b", "c", "d"]},
    {"store": True},
    {"temperature": 1},
    {"tool_choice": "none", "tools": [TOOL]},
    {"tools": [{"type": "custom", "custom": {"name": "name", "format": {"type": "text"}}}]},
    {"top_p": 1},
    {"user": "user-1234"},
    {"verbosity": "low"},
]
# What would cost what the mock's models have no price for.
UNPRICED: list[dict[str, Any]] = [
    {"audio": {"format": "wav", "voice": "alloy"}, "modalities": ["text", "audio"]},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {
        "web_search_options": {
            "search_context_size": "low",
            "user_location": {"approximate": PLACE, "type": "approximate"},
        }
    },
]
RESPONSE: list[dict[str, Any]] = [
    {"access_programs": {"cyber": "standard"}},
    {"background": False},
    {"image": {"context_compression": "auto"}},
    {"include": ["file_search_call.results"]},
    {"include": ["reasoning.encrypted_content"]},
    {"include": ["message.output_text.logprobs"]},
    {"instructions": "instructions"},
    {"max_output_tokens": 16},
    {"max_tool_calls": 1},
    {"metadata": {"foo": "string"}},
    {"parallel_tool_calls": True},
    {"prompt_cache_key": "prompt-cache-key-1234"},
    {"prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
    {"prompt_cache_retention": "in_memory"},
    {"reasoning": {"effort": "none"}},
    {"reasoning": {"summary": "auto"}},
    {"reasoning": {"generate_summary": "auto"}},
    {"reasoning": {"context": "auto", "mode": "standard"}},
    {"safety_identifier": "safety-identifier-1234"},
    {"service_tier": "auto"},
    {"service_tier": "default"},
    {"store": True},
    {"store": False},
    {"temperature": 1},
    {"text": {"format": {"type": "text"}, "verbosity": "low"}},
    {"tool_choice": "none", "tools": [FLAT]},
    {"tools": [{**FLAT, "defer_loading": True}]},
    {"tools": [{**FLAT, "allowed_callers": ["direct"], "async": True}]},
    {"tools": [{**FLAT, "output_schema": {"foo": "bar"}}]},
    {"tools": [{"type": "custom", "name": "name"}]},
    {"top_logprobs": 0},
    {"top_logprobs": 2},
    {"top_p": 1},
    {"truncation": "auto"},
    {"truncation": "disabled"},
    {"user": "user-1234"},
]
# What the gateway does not do, and the field that its refusal names.
RESPONSE_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"background": True}, "background"),
    (
        {"context_management": [{"type": "compaction", "compact_threshold": 1000}]},
        "context_management",
    ),
    ({"conversation": "string"}, "conversation"),
    ({"moderation": {"model": "omni-moderation-latest", "policy": POLICY}}, "moderation"),
    ({"prompt": {"id": "id", "version": "version"}}, "prompt"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
]
MESSAGES = [{"role": "developer", "content": "string", "name": "name"}]


def named(parameters: dict[str, Any]) -> str:
    return "-".join(parameters)


@pytest.mark.parametrize("parameters", CHAT, ids=named)
def test_chat(client: openai.OpenAI, acme: Account, parameters: dict[str, Any]):
    given = {"model": "gpt-4o-mini", "messages": MESSAGES, **parameters}
    assert client.chat.completions.create(**given).choices
    assert list(client.chat.completions.create(**given | {"stream": True}))
    acme.lines(2)


def test_chat_with_everything_at_once(client: openai.OpenAI, acme: Account):
    everything = {name: value for parameters in CHAT for name, value in parameters.items()}
    test_chat(client, acme, everything)


@pytest.mark.parametrize("parameters", UNPRICED, ids=named)
def test_what_has_no_price_is_refused_under_a_hard_budget(
    client: openai.OpenAI, acme: Account, parameters: dict[str, Any]
):
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **parameters)
    assert (caught.value.status_code, caught.value.code) == (402, "model_not_priced")
    acme.lines(0)


@pytest.mark.parametrize("parameters", RESPONSE, ids=named)
def test_response(client: openai.OpenAI, acme: Account, parameters: dict[str, Any]):
    given = {"model": "gpt-4o-mini", "input": "string", **parameters}
    assert client.responses.create(**given).output_text == "string"
    *_, last = client.responses.create(**given, stream=True)
    assert last.type == "response.completed"
    assert last.response.output_text == "string"
    acme.lines(2)


def test_response_with_everything_at_once(client: openai.OpenAI, acme: Account):
    everything = {name: value for parameters in RESPONSE for name, value in parameters.items()}
    test_response(client, acme, everything)


@pytest.mark.parametrize(("parameters", "param"), RESPONSE_REFUSED)
def test_what_a_response_cannot_do_is_refused(
    client: openai.OpenAI, acme: Account, parameters: dict[str, Any], param: str
):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="gpt-4o-mini", input="string", **parameters)
    assert caught.value.param == param
    acme.lines(0)


def test_an_unknown_response_cannot_be_gone_on_from(client: openai.OpenAI):
    unknown = "resp_677efb5139a88190b512bc3fef8e535d"
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="gpt-4o-mini", input="x", previous_response_id=unknown)
    assert caught.value.status_code in (400, 404)
