"""A Messages request as a chat request: pure translation."""

import json
from typing import Any

import msgspec
import pytest

from api.messages import chat
from api.requests import Call, decode
from providers.wire import CHAT
from runestone.lib.errors import BadRequest
from tests.api.messages.conftest import recorded


def translated(body: dict[str, Any]) -> dict[str, Any]:
    """What goes down the pipeline; which must be a valid chat request."""
    call = Call({"content-type": "application/json"}, json.dumps(body).encode())
    asked = chat.decoded(call, chat.MESSAGES)
    told = chat.chat_body(asked.request, asked.fields)
    decode(CHAT, told)
    return json.loads(told)


def told(*turns: Any, **more: Any) -> list[dict[str, Any]]:
    """The chat messages that a conversation becomes."""
    messages = [{"role": role, "content": content} for role, content in turns]
    return translated({"model": "m", "max_tokens": 9, "messages": messages, **more})["messages"]


def fields(**more: Any) -> dict[str, Any]:
    """The fields besides model, messages and cap."""
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    answer = translated(asked | more)
    return {
        name: value
        for name, value in answer.items()
        if name not in ("model", "messages", "max_completion_tokens")
    }


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def result(call: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": content, **more}


def use(call: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": "f", "input": arguments}


def test_it_works():
    assert translated(
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    ) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 9}


# Turns.


def test_turns_of_one_role_are_one():
    assert told(("user", "a"), ("user", [text("b")]), ("assistant", "c"), ("assistant", "d")) == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": "cd"},
    ]


def test_systems():
    assert told(("user", "a"), ("system", "c"), system=[text("b"), text("d")]) == [
        {"role": "system", "content": [text("b"), text("d")]},
        {"role": "user", "content": "a"},
        {"role": "system", "content": "c"},
    ]


def test_tool_results_come_before_what_the_user_says():
    conversation = told(
        ("user", "a"),
        ("assistant", [text("let me see"), use("1", x=1), use("2")]),
        ("user", [text("well?"), result("1", "one"), result("2", [text("two"), text("three")])]),
    )
    assert conversation[1:] == [
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "content": "two\nthree"},
        {"role": "user", "content": "well?"},
    ]


def test_a_call_without_words_has_no_content():
    [called] = told(("assistant", [use("1")]))
    assert called["content"] is None


def test_a_failed_tool_says_so():
    assert told(("user", [result("1", "no such file", is_error=True)])) == [
        {"role": "tool", "tool_call_id": "1", "content": "The tool failed:\nno such file"}
    ]


def test_an_empty_result():
    assert told(("user", [result("1")])) == [{"role": "tool", "tool_call_id": "1", "content": ""}]


def test_a_picture_from_a_tool_follows_it():
    picture = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    answered, shown = told(("user", [result("1", [text("see"), picture]), text("what is it?")]))
    assert answered["content"].startswith("see\n")
    label, image, question = shown["content"]
    assert "tool call 1" in label["text"]
    assert image == {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    assert question == text("what is it?")


def test_thinking_is_dropped():
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    redacted = {"type": "redacted_thinking", "data": "d"}
    assert told(("assistant", [thought, redacted, text("yes")]), ("assistant", [thought])) == [
        {"role": "assistant", "content": "yes"}
    ]
    assert told(("assistant", [thought])) == [{"role": "assistant", "content": ""}]


def test_images():
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    [message] = told(("user", [{"type": "image", "source": source}]))
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    ]


def test_documents():
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    plain = {"type": "text", "media_type": "text/plain", "data": "words"}
    parts = {"type": "content", "content": [text("inner")]}
    [message] = told(
        (
            "user",
            [
                {"type": "document", "source": pdf, "title": "a.pdf", "context": "old"},
                {"type": "document", "source": plain, "title": "Poem"},
                {"type": "document", "source": parts, "cache_control": {"type": "ephemeral"}},
            ],
        )
    )
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    assert message["content"] == [
        text("old"),
        {"type": "file", "file": file},
        text("Poem\nwords"),
        text("inner"),
    ]


def test_search_results():
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("c")]}
    assert told(("user", [found])) == [{"role": "user", "content": "t\ns\nc"}]


# Everything else.


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 3}, {"temperature": 0.5, "top_p": 0.9}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop_sequences": []}, {}),
        ({"service_tier": "auto", "speed": "standard"}, {}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 4_096}}, {"reasoning_effort": "low"}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 16_384}},
            {"reasoning_effort": "medium"},
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 16_385}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "max"}),
        (
            {
                "output_config": {"effort": "low"},
                "thinking": {"type": "enabled", "budget_tokens": 32_000},
            },
            {"reasoning_effort": "low"},
        ),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"stream": False, "cache_control": {"type": "ephemeral"}}, {}),
        ({"system": None, "tools": None, "metadata": None, "thinking": None}, {}),
        ({"provider": "mock", "model_family": "x"}, {"provider": "mock", "model_family": "x"}),
    ],
)
def test_fields(asked: dict[str, Any], expected: dict[str, Any]):
    assert fields(**asked) == expected


def test_a_user_is_told_apart_but_not_named():
    [told_apart] = fields(metadata={"user_id": "someone@example.com" * 9}).values()
    assert fields(metadata={"user_id": "someone@example.com" * 9}) == {
        "safety_identifier": told_apart
    }
    assert len(told_apart) == 64
    assert "someone" not in told_apart


def test_a_schema_is_promised():
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    asked = {"format": {"type": "json_schema", "schema": schema}}
    assert fields(output_config=asked) == {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_tools(choice: dict[str, Any], expected: dict[str, Any]):
    tool = {
        "type": "custom",
        "name": "f",
        "description": "d",
        "input_schema": {"type": "object"},
        "strict": True,
        "cache_control": {"type": "ephemeral"},
    }
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    assert fields(tools=[tool], tool_choice=choice) == {
        "tools": [{"type": "function", "function": function}],
        **expected,
    }


def test_without_tools_nothing_is_said_of_parallel_calls():
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert fields(tools=[], tool_choice=choice) == {"tool_choice": "auto"}


def test_what_is_impossible_is_said():
    with pytest.raises(BadRequest, match=r"tools\.0\.type: .*'web_search_20250305'") as caught:
        fields(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    assert caught.value.param == "tools.0.type"


# What real callers sent.


@pytest.mark.parametrize(
    "name",
    [
        "anthropic-basic-sampling",
        "anthropic-image-url",
        "anthropic-parallel-tool-results",
        "anthropic-stop-sequence",
        "anthropic-stream-thinking",
        "anthropic-stream-two-tools",
    ],
)
def test_recorded_requests(name: str):
    asked = recorded(name)
    answer = translated(asked)
    assert answer["model"] == asked["model"]
    assert answer["max_completion_tokens"] == asked["max_tokens"]
    assert len(answer.get("tools", [])) == len(asked.get("tools", []))


def test_recorded_parallel_tool_results():
    messages = translated(recorded("anthropic-parallel-tool-results"))["messages"]
    roles = [message["role"] for message in messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "tool", "tool"]
    called = [call["id"] for call in messages[2]["tool_calls"]]
    assert called == [message["tool_call_id"] for message in messages[3:]]
    assert messages[3]["content"] == "alice is bob's wife"


def test_a_field_that_is_not_ours_does_not_pass():
    assert msgspec.json.encode("surprise") not in msgspec.json.encode(fields(surprise=1))


def call_of(body: bytes) -> Call:
    return Call({"content-type": "application/json"}, body)


@pytest.mark.parametrize("value", [b'"\xff"', b"[" * 100_000 + b"]" * 100_000])
def test_what_cannot_be_told_anew_is_refused(value: bytes):
    """Though it stands where no type of ours looks."""
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"extra":%b}'
    with pytest.raises(BadRequest, match="not valid JSON"):
        chat.decoded(call_of(body % value), chat.MESSAGES)


def test_what_is_checked_is_what_is_passed_on():
    block = b'{"type":"text","text":"x","type":"document","source":{"type":"url","url":"http://x"}}'
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[%b]}]}'
    with pytest.raises(BadRequest) as caught:
        chat.decoded(call_of(body % block), chat.MESSAGES)
    assert caught.value.param == "messages[0].content[0].source.type"


def test_its_own_words_are_those_that_can_be_priced():
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    more = {"top_k": 5, "system": None, "user": "me", "request_id": "mine", "speed": "standard"}
    asked = chat.decoded(call_of(json.dumps(body | more).encode()), chat.MESSAGES)
    assert chat.native_fields(asked.fields).keys() == {"max_tokens", "messages", "top_k"}
