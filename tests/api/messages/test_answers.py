"""A chat completion as a message: pure translation."""

from typing import Any

import msgspec
import pytest

from api.messages import answers
from api.messages.wire import MessagesRequest
from runestone.lib.errors import UpstreamBroken
from tests.api.messages.conftest import recorded

ASKED = msgspec.convert(
    {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
        "stop_sequences": ["END"],
    },
    MessagesRequest,
)


def message_of(completion: Any) -> dict[str, Any]:
    return answers.message(msgspec.json.encode(completion), ASKED, "msg_1")


def message(said: dict[str, Any], **choice: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **said}, **choice}
    return message_of({"model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 1}})


def test_it_works():
    answer = message({"content": "Hello"}, finish_reason="stop")
    assert answer == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("", "end_turn"),
        (None, "end_turn"),
        ("novelty", "end_turn"),
    ],
)
def test_stop_reasons(finish_reason: str | None, stop_reason: str):
    answer = message({"content": "x"}, finish_reason=finish_reason)
    assert answer["stop_reason"] == stop_reason


@pytest.mark.parametrize(
    ("said", "reason", "sequence"),
    [("END", "stop_sequence", "END"), ("other", "end_turn", None), (128_001, "end_turn", None)],
)
def test_a_stop_sequence_where_the_provider_names_it(said: Any, reason: str, sequence: Any):
    answer = message({"content": "x"}, finish_reason="stop", stop_reason=said)
    assert (answer["stop_reason"], answer["stop_sequence"]) == (reason, sequence)


@pytest.mark.parametrize("finish_reason", ["tool_calls", "stop", ""])
@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a":1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ('{"a":', {"INVALID_JSON": '{"a":'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_tool_calls(finish_reason: str, arguments: str | None, given: dict[str, Any]):
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    answer = message({"content": None, "tool_calls": [call]}, finish_reason=finish_reason)
    assert answer["content"] == [{"type": "tool_use", "id": "call_1", "name": "f", "input": given}]
    assert answer["stop_reason"] == "tool_use"


def test_a_tool_call_that_was_cut_off():
    call = {"id": "1", "function": {"name": "f", "arguments": '{"a'}}
    answer = message({"content": None, "tool_calls": [call]}, finish_reason="length")
    assert answer["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking(field: str):
    answer = message({"content": "yes", field: "hm"}, finish_reason="stop")
    assert answer["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "yes"},
    ]


def test_text_in_parts():
    parts = [{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}]
    assert message({"content": parts})["content"] == [{"type": "text", "text": "ab"}]


def test_usage_counts_nothing_twice():
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    answer = message_of({"choices": [{"message": {"content": "x"}}], "usage": usage})
    assert answer["usage"] == {
        "input_tokens": 50,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
    }


@pytest.mark.parametrize("body", [{"choices": []}, {}, {"choices": [{}]}, {"choices": 5}, []])
def test_nonsense(body: Any):
    with pytest.raises(UpstreamBroken):
        message_of(body)


# What real providers answered.


def test_recorded_refusal():
    answer = message_of(recorded("openai-chat-refusal"))
    words = "I'm very sorry, but I can't assist with that request."
    assert answer["content"] == [{"type": "text", "text": words}]
    assert answer["stop_reason"] == "refusal"
    assert answer["stop_details"]["explanation"] == words


def test_recorded_reasoning():
    answer = message_of(recorded("deepseek-reasoning-content"))
    kinds = [block["type"] for block in answer["content"]]
    assert kinds == ["thinking", "text", "tool_use"]
    assert answer["content"][2]["input"] == {"id": "DICE_ROLL"}
    assert answer["usage"]["input_tokens"] == 563 - 512


def test_recorded_cache_hit():
    usage = message_of(recorded("openai-chat-prompt-cache-hit"))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (8, 4_012)


def test_recorded_tool_call():
    answer = message_of(recorded("openai-chat-tool-call"))
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][0]["id"] == "call_iXFttys57ap0o16JSlC8yhYo"
