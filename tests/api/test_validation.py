"""Every parameter of chat completions, checked as OpenAI checks it, or passed on as it is."""

from typing import Any

import openai
import pytest

from tests.cast import Account

HELLO = {"role": "user", "content": "Hi"}
FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
CUSTOM = {"type": "custom", "custom": {"name": "shout"}}
CALLED = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "not json"}}

ACCEPTED = [
    {"temperature": 0},
    {"temperature": 2.0, "top_p": 1, "n": 2, "seed": -5},
    {"stop": "x"},
    {"stop": ["a", "b", "c", "d"]},
    {"presence_penalty": -2, "frequency_penalty": 2},
    {"logit_bias": {"50256": -100}},
    {"logprobs": True, "top_logprobs": 20},
    {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "store": False},
    {"reasoning_effort": "xhigh", "verbosity": "low"},
    {"metadata": {"k" * 64: "v" * 512}},
    {"service_tier": "auto"},
    {"tools": [FUNCTION, CUSTOM], "tool_choice": "auto", "parallel_tool_calls": False},
    {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "look_up"}}},
    {"tools": [CUSTOM], "tool_choice": {"type": "custom", "custom": {"name": "shout"}}},
    {
        "tools": [FUNCTION],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [FUNCTION]},
        },
    },
    {"functions": [{"name": "look_up"}], "function_call": "none"},
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    {"prediction": {"type": "content", "content": "Hi"}},
    {"modalities": ["text"]},
    {"a_field_of_tomorrow": {"deep": [1, 2, 3]}},
    dict.fromkeys(("temperature", "n", "stop", "tools", "stream", "metadata", "user")),
    {"messages": [{"role": "developer", "content": "Be kind"}, HELLO]},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be kind"}]}, HELLO]},
    {"messages": [HELLO, {"role": "assistant", "content": None, "tool_calls": [CALLED]},
                  {"role": "tool", "tool_call_id": "c1", "content": "42"}]},
    {"messages": [{"role": "user", "name": "ann", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}]}]},
    {"messages": [{"role": "user", "content": [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}]}]},
]  # fmt: skip

REFUSED = [
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
    ({"presence_penalty": -3}, "presence_penalty", "decimal_below_min_value"),
    ({"max_completion_tokens": 0}, "max_completion_tokens", "integer_below_min_value"),
    ({"max_completion_tokens": True}, "max_completion_tokens", "invalid_type"),
    ({"top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
    ({"stop": []}, "stop", "empty_array"),
    ({"logit_bias": {"1": 101}}, "logit_bias", "integer_above_max_value"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
    ({"verbosity": 3}, "verbosity", "invalid_type"),
    ({"safety_identifier": "x" * 65}, "safety_identifier", "string_above_max_length"),
    ({"metadata": {str(n): "v" for n in range(17)}}, "metadata", "object_above_max_properties"),
    ({"metadata": {"k": 5}}, "metadata", "invalid_type"),
    ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "missing_required_parameter",
    ),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
    (
        {"tools": [FUNCTION, {"type": "function", "function": {"name": "a b"}}]},
        "tools[1].function.name",
        "invalid_value",
    ),
    ({"tools": [FUNCTION] * 129}, "tools", "array_above_max_length"),
    ({"tool_choice": "maybe"}, "tool_choice", "invalid_value"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "invalid_type"),
    (
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        "messages[0].content[0].type",
        "invalid_value",
    ),
    (
        {"messages": [HELLO, {"role": "tool", "content": "42"}]},
        "messages[1].tool_call_id",
        "missing_required_parameter",
    ),
    ({"messages": [HELLO], "tenant_id": 1.5}, "tenant_id", "invalid_type"),
    ({"max_cost_per_token": "cheap"}, "max_cost_per_token", "invalid_type"),
]


def post(client: openai.OpenAI, fields: dict[str, Any]) -> dict[str, Any]:
    body = {"model": "gpt-4o-mini", "messages": [HELLO], **fields}
    return client.post("/chat/completions", body=body, cast_to=dict[str, Any])


@pytest.mark.parametrize("fields", ACCEPTED, ids=lambda fields: ",".join(fields))
def test_what_openai_takes_is_taken(client: openai.OpenAI, fields: dict[str, Any]):
    assert post(client, fields)["choices"]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED)
def test_what_openai_refuses_is_refused(
    client: openai.OpenAI, acme: Account, fields: dict[str, Any], param: str, code: str
):
    with pytest.raises(openai.BadRequestError) as caught:
        post(client, fields)
    assert (caught.value.param, caught.value.code) == (param, code)
    acme.lines(0)


def test_of_several_faults_the_first_in_the_document_is_named(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as caught:
        post(client, {"temperature": 9, "top_p": 9, "n": 900})
    assert caught.value.param == "temperature"
