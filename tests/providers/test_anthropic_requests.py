"""Chat requests as Messages requests: each field translated, left out or refused by name."""

import json
from typing import Any

import msgspec
import pytest

from providers.dialects.anthropic import AnthropicDialect
from providers.dialects.base import UpstreamRequest
from providers.dialects.quirks import Quirks
from providers.tokens import OUTPUT_TOKENS_MAX_DEFAULT
from runestone.lib.errors import BadRequest
from tests.providers.calls import chat, decoded, target

USER = {"role": "user", "content": "Hello"}
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather", "parameters": SCHEMA},
}
TIME = {"type": "function", "function": {"name": "get_time"}}


def asked(
    model: str = "claude-sonnet-4-6", cap: int | None = None, quirks: Any = None, **fields: Any
) -> UpstreamRequest:
    to = target(upstream_model=model, quirks=msgspec.convert(quirks or {}, Quirks))
    return AnthropicDialect().request(chat(**fields), to, output_tokens_max=cap)


def sent(*arguments: Any, **fields: Any) -> dict[str, Any]:
    return json.loads(asked(*arguments, **fields).body)


def turns(*messages: dict[str, Any]) -> Any:
    return sent(messages=list(messages))["messages"]


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def called(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "get_weather", "arguments": arguments},
    }


def result(call_id: str, content: Any = "clear", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def test_it_works():
    request = asked()
    assert request.url == "https://upstream.test/v1/messages"
    assert request.headers == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-upstream",
    }
    assert json.loads(request.body) == {
        "model": "claude-sonnet-4-6",
        "max_tokens": OUTPUT_TOKENS_MAX_DEFAULT,
        "messages": [{"role": "user", "content": [text("Hello")]}],
    }


def test_quirks_are_of_the_outgoing_body():
    quirks = {
        "headers": {"Anthropic-Version": "2026-10-21", "anthropic-beta": "x"},
        "query": {"beta": "true"},
        "drop_fields": ["temperature"],
        "refuse_fields": ["stop_sequences"],
    }
    request = asked(quirks=quirks, temperature=0.5)
    assert request.url.endswith("/messages?beta=true")
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert "Anthropic-Version" not in request.headers
    assert "temperature" not in json.loads(request.body)
    with pytest.raises(BadRequest) as caught:
        asked(quirks=quirks, stop="x")
    assert caught.value.param == "stop_sequences"


@pytest.mark.parametrize(
    ("fields", "held", "told"),
    [
        ({}, None, OUTPUT_TOKENS_MAX_DEFAULT),
        ({}, 100, 100),
        ({"max_tokens": 50}, 100, 50),
        ({"max_completion_tokens": 50}, 100, 50),
        ({"max_completion_tokens": 50, "max_tokens": 60}, 100, 60),
        # Never more than money is held for, whatever the caller says.
        ({"max_tokens": 500}, 100, 100),
    ],
)
def test_max_tokens(fields: dict[str, int], held: int | None, told: int):
    assert sent(cap=held, **fields)["max_tokens"] == told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 2}, {"temperature": 1}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"top_k": 5}, {"top_k": 5}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"stream": True}, {"stream": True}),
        ({"stream": False, "stream_options": None}, {}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"cache_control": EPHEMERAL}, {"cache_control": EPHEMERAL}),
        ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": FORM},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        # What only says the default, or changes nothing in the answer.
        (
            {
                "n": 1, "logprobs": False, "logit_bias": {}, "presence_penalty": 0, "seed": None,
                "frequency_penalty": 0.0, "modalities": ["text"], "unknown": None,
            },
            {},
        ),
        (
            {
                "store": True, "metadata": {"a": "b"}, "verbosity": "low", "prompt_cache_key": "k",
                "prediction": {"type": "content", "content": "x"},
            },
            {},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_a_field(fields: dict[str, Any], told: dict[str, Any]):
    assert {
        name: value
        for name, value in sent(**fields).items()
        if name not in ("model", "max_tokens", "messages")
    } == told


def test_users_are_told_apart_but_not_named():
    one, other = sent(user="ann@example.com"), sent(safety_identifier="ann@example.com")
    assert one["metadata"] == other["metadata"]
    assert "ann" not in str(one)
    assert sent(user="bob")["metadata"] != one["metadata"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"seed": 7}, "seed"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x", "format": "mp3"}}, "audio"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stop": "\n"}, "stop"),
        ({"stop": ["END", " "]}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        (
            {"tools": [TIME], "tool_choice": {"type": "custom", "custom": {"name": "c"}}},
            "tool_choice.type",
        ),
        # As OpenAI does; a misspelt field would otherwise be no field at all.
        ({"temprature": 1}, "temprature"),
        # No field of a request, though a word that its type knows.
        ({"has_tools": True}, "has_tools"),
        # Anthropic's own, which could not be priced.
        ({"mcp_servers": []}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequest) as caught:
        asked(**fields)
    assert (caught.value.param, caught.value.code) == (param, "unsupported_parameter")


# How hard to think.


@pytest.mark.parametrize(
    ("model", "effort", "told"),
    [
        ("claude-3-5-haiku-20241022", "none", {}),
        ("claude-3-7-sonnet-20250219", "low", {"thinking": ("enabled", 4_096)}),
        ("claude-sonnet-4-20250514", "medium", {"thinking": ("enabled", 16_384)}),
        ("claude-haiku-4-5", "high", {"thinking": ("enabled", 32_768)}),
        ("claude-opus-4-5-20251101", "max", {"thinking": ("enabled", 65_536)}),
        ("claude-opus-4-1", "minimal", {"thinking": ("enabled", 1_024)}),
        ("claude-sonnet-4-5", "none", {"thinking": ("disabled", None)}),
        ("claude-sonnet-4-6", "low", {"thinking": ("adaptive", None), "effort": "low"}),
        ("anthropic/claude-opus-4.7", "xhigh", {"thinking": ("adaptive", None), "effort": "xhigh"}),
        ("claude-fable-5-5", "minimal", {"thinking": ("adaptive", None), "effort": "low"}),
        ("my-deployment", "max", {"thinking": ("adaptive", None), "effort": "max"}),
        ("claude-opus-5", "none", {"thinking": ("disabled", None)}),
    ],
)
def test_effort(model: str, effort: str, told: dict[str, Any]):
    body = sent(model, reasoning_effort=effort, max_tokens=200_000)
    got: dict[str, Any] = {}
    if "thinking" in body:
        got["thinking"] = (body["thinking"]["type"], body["thinking"].get("budget_tokens"))
    if "output_config" in body:
        got["effort"] = body["output_config"]["effort"]
    assert got == told


@pytest.mark.parametrize(("max_tokens", "budget"), [(10_000, 5_000), (2_048, 1_024), (2_000, None)])
def test_half_of_the_tokens_are_left_for_the_answer(max_tokens: int, budget: int | None):
    body = sent("claude-haiku-4-5", reasoning_effort="high", max_tokens=max_tokens)
    assert body.get("thinking", {}).get("budget_tokens") == budget


def test_a_model_that_cannot_think_says_so():
    with pytest.raises(BadRequest) as caught:
        asked("claude-3-5-haiku-20241022", reasoning_effort="high")
    assert caught.value.param == "reasoning_effort"


def test_effort_and_form_are_of_one_object():
    assert sent(reasoning_effort="low", response_format=FORM)["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": SCHEMA},
    }


# Tools.


def test_tools():
    tools = [WEATHER | {"cache_control": EPHEMERAL}, TIME]
    assert sent(tools=tools)["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather",
            "input_schema": SCHEMA,
            "cache_control": EPHEMERAL,
        },
        {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
    ]


def test_a_strict_tool_is_strict():
    strict = {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}
    assert sent(tools=[strict])["tools"][0]["strict"] is True


@pytest.mark.parametrize(
    ("choice", "told", "tools"),
    [
        (None, None, 2),
        ("none", {"type": "none"}, 2),
        ("auto", {"type": "auto"}, 2),
        ("required", {"type": "any"}, 2),
        (
            {"type": "function", "function": {"name": "get_time"}},
            {"type": "tool", "name": "get_time"},
            2,
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME]}},
            {"type": "any"},
            1,
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "x"}]},
            },
            {"type": "auto"},
            0,
        ),
    ],
    ids=str,
)
def test_the_choice_of_a_tool(choice: Any, told: Any, tools: int):
    body = sent(tools=[WEATHER, TIME], tool_choice=choice)
    assert (body.get("tool_choice"), len(body["tools"])) == (told, tools)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_one_tool_at_a_time(choice: Any, told: Any):
    body = sent(tools=[TIME], tool_choice=choice, parallel_tool_calls=False)
    assert body["tool_choice"] == told


def test_without_tools_there_is_no_choice():
    assert not {"tools", "tool_choice"} & sent(tool_choice="auto", parallel_tool_calls=False).keys()


# The conversation.


def test_instructions_go_to_the_top_in_their_order():
    body = sent(
        messages=[
            {"role": "system", "content": "One"},
            {"role": "developer", "content": [text("Two", cache_control=EPHEMERAL)]},
            USER,
            {"role": "system", "content": "Three", "cache_control": EPHEMERAL},
            {"role": "system", "content": ""},
        ]
    )
    assert body["system"] == [
        text("One"),
        text("Two", cache_control=EPHEMERAL),
        text("Three", cache_control=EPHEMERAL),
    ]
    assert body["messages"] == [{"role": "user", "content": [text("Hello")]}]


def test_roles_take_turns():
    assistant = {"role": "assistant", "content": "Hi"}
    assert turns(USER, USER, assistant, assistant, USER) == [
        {"role": "user", "content": [text("Hello"), text("Hello")]},
        {"role": "assistant", "content": [text("Hi"), text("Hi")]},
        {"role": "user", "content": [text("Hello")]},
    ]


def test_the_results_of_tools_are_one_turn_and_come_first():
    calls = [
        called("toolu_1", '{"city": "Łódź", "big": 12345678901234567890123}'),
        called("toolu_2", ""),
    ]
    _, assistant, user = turns(
        USER,
        {"role": "assistant", "content": None, "tool_calls": calls},
        result("toolu_1"),
        result("toolu_2", [text("rain"), {"type": "image_url", "image_url": {"url": PNG}}]),
        USER,
    )
    assert assistant["content"] == [
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "get_weather",
            "input": {"city": "Łódź", "big": 12345678901234567890123},
        },
        {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}},
    ]
    image = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert user["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "clear"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_2",
            "content": [text("rain"), {"type": "image", "source": image}],
        },
        text("Hello"),
    ]


def test_a_result_comes_first_even_if_it_was_told_last():
    _, _, user = turns(USER, {"role": "assistant", "tool_calls": [called("a")]}, USER, result("a"))
    assert [block["type"] for block in user["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize("call_id", ["call:1", "a b", "", "ü", "functions.get_weather:0"])
def test_an_odd_id_still_finds_its_call(call_id: str):
    _, assistant, user = turns(
        USER, {"role": "assistant", "tool_calls": [called(call_id)]}, result(call_id)
    )
    [use], [told] = assistant["content"], user["content"]
    assert use["id"] == told["tool_use_id"]
    assert use["id"].isascii()
    assert use["id"].replace("_", "").isalnum()


@pytest.mark.parametrize("arguments", ["not JSON", "[1]", '{"cut": "of', "null"])
def test_arguments_that_are_no_object_are_kept(arguments: str):
    _, assistant = turns(USER, {"role": "assistant", "tool_calls": [called("a", arguments)]})
    assert assistant["content"][0]["input"] == {"INVALID_JSON": arguments}


def test_pictures_and_files():
    parts = [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": PNG}, "cache_control": EPHEMERAL},
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "JVBERi0="}},
        text(""),
        text("What is it?", cache_control=EPHEMERAL),
    ]
    [turn] = turns({"role": "user", "content": parts})
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    png = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert turn["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": png, "cache_control": EPHEMERAL},
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": pdf},
        text("What is it?", cache_control=EPHEMERAL),
    ]


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}}, "type"),
        ({"type": "image_url", "image_url": {"url": "ftp://x"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,x"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,x"}}, "image_url.url"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_id"),
        ({"type": "file", "file": {"file_data": "data:text/csv;base64,x"}}, "file.file_data"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_refused_with_its_place(part: dict[str, Any], path: str):
    with pytest.raises(BadRequest) as caught:
        turns({"role": "user", "content": [text("a"), part]})
    assert caught.value.param == f"messages[0].content[1].{path}"


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, "function_call"),
        (
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "c", "input": ""}}],
            },
            "tool_calls[0].type",
        ),
        ({"role": "function", "name": "f", "content": "x"}, "role"),
    ],
    ids=str,
)
def test_what_cannot_be_told_is_refused_with_its_place(message: dict[str, Any], path: str):
    with pytest.raises(BadRequest) as caught:
        turns(USER, message)
    assert caught.value.param == f"messages[1].{path}"


@pytest.mark.parametrize(
    "messages",
    [[{"role": "system", "content": "Be brief"}], [{"role": "user", "content": ""}]],
    ids=str,
)
def test_somebody_has_to_say_something(messages: list[Any]):
    with pytest.raises(BadRequest) as caught:
        asked(messages=messages)
    assert caught.value.param == "messages"


# What it thought before.


def replayed(*details: dict[str, Any], **fields: Any) -> Any:
    _, assistant = turns(
        USER,
        {"role": "assistant", "content": "Hi", "reasoning_details": list(details), **fields},
    )
    return assistant["content"]


SIGNED = {"type": "thinking", "thinking": "Let me see", "signature": "S=="}
HIDDEN = {"type": "redacted_thinking", "data": "D=="}
KEPT = [
    {"type": "reasoning.text", "text": "Let me see", "signature": "S==", "index": 0},
    {"type": "reasoning.encrypted", "data": "D==", "index": 1},
]


def test_thoughts_come_back_as_they_were():
    details = [{**each, "format": "anthropic-claude-v1"} for each in KEPT]
    assert replayed(*details) == [SIGNED, HIDDEN, text("Hi")]
    assert replayed(*KEPT) == [SIGNED, HIDDEN, text("Hi")]


def test_the_pieces_of_a_stream_are_one():
    pieces = [
        {"type": "reasoning.text", "text": "Let me", "index": 0},
        {"type": "reasoning.text", "text": " see", "index": 0},
        {"type": "reasoning.text", "signature": "S==", "index": 0},
        {"type": "reasoning.encrypted", "data": "D==", "index": 1},
    ]
    assert replayed(*pieces) == [SIGNED, HIDDEN, text("Hi")]


def test_entries_without_an_index_are_whole():
    one = {"type": "reasoning.text", "text": "a", "signature": "S=="}
    thought = {"type": "thinking", "thinking": "a", "signature": "S=="}
    assert replayed(one, one) == [thought, thought, text("Hi")]


@pytest.mark.parametrize(
    "detail",
    [
        {"type": "reasoning.text", "text": "unsigned"},
        {"type": "reasoning.summary", "summary": "x"},
        {"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"},
        {"type": ["no", "text"]},
        {},
    ],
    ids=str,
)
def test_what_others_thought_is_left_out(detail: dict[str, Any]):
    assert replayed(detail) == [text("Hi")]


def test_a_refusal_was_said():
    _, assistant = turns(USER, {"role": "assistant", "content": None, "refusal": "No."})
    assert assistant["content"] == [text("No.")]


# In the caller's own words.


def test_who_asks_in_its_words_is_passed_on_in_them():
    own = {
        "model": b'"ours"',
        "max_tokens": b"500",
        "messages": b'[{"role":"user","content":"Hello"}]',
        "thinking": b'{"type":"adaptive"}',
    }
    call = decoded(b'{"messages":[{"role":"user","content":"Hello"}],"max_tokens":500}')
    call = call.in_its_own_words({name: msgspec.Raw(value) for name, value in own.items()})
    request = AnthropicDialect().request(call, target(), output_tokens_max=100)
    assert json.loads(request.body) == {
        "model": "gpt-4o-mini-2024-07-18",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
        "thinking": {"type": "adaptive"},
    }


def test_the_longer_words_bound_the_prompt():
    call = chat()
    long = {"messages": msgspec.Raw(b" " * 10_000)}
    assert call.in_its_own_words(long).body_bytes == 10_000
    assert call.in_its_own_words({}).body_bytes == call.body_bytes
