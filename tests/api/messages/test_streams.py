"""Chat's chunks as Anthropic's events: pure translation."""

import json
from typing import Any

import pytest

from api.messages.streams import MessageStream
from runestone.lib import sse
from tests.api.messages.conftest import recorded
from tests.api.messages.test_answers import ASKED

Event = dict[str, Any]


def events_of(data: bytes, step: int = 0) -> list[Event]:
    """What a stream of chat becomes, fed whole or in steps of so many bytes."""
    stream, told = MessageStream(ASKED, "msg_1"), b""
    for start in range(0, len(data), step or len(data) or 1):
        told += stream.feed(data[start : start + (step or len(data))])
    reader = sse.Reader()
    events = reader.feed(told + stream.finish())
    decoded = [json.loads(event.data) for event in events]
    assert [event.name.decode() for event in events] == [each["type"] for each in decoded]
    return decoded


def chunks(*deltas: dict[str, Any], finish: str | None = "stop", **more: Any) -> bytes:
    told = [{"delta": delta, "finish_reason": None} for delta in deltas]
    told.append({"delta": {}, "finish_reason": finish, **more})
    lines = [json.dumps({"model": "m", "choices": [choice]}).encode() for choice in told]
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    return b"".join(map(sse.encode, [*lines, json.dumps(usage).encode(), sse.DONE]))


def call(index: int | None, arguments: str = "", call_id: str = "", name: str = "") -> Event:
    """A delta with a fragment of a tool call."""
    function = {"name": name} if name else {}
    fragment = {"index": index, "id": call_id or None, "function": function}
    function["arguments"] = arguments
    return {"tool_calls": [fragment]}


def blocks_of(events: list[Event]) -> list[dict[str, Any]]:
    """The blocks that a client puts together; they must come one after the other."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                is_open = True
                assert event["index"] == len(blocks)
                blocks.append({"said": "", **event["content_block"]})
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(blocks) - 1
                [said] = [value for name, value in event["delta"].items() if name != "type"]
                blocks[-1]["said"] += said
            case "content_block_stop":
                assert is_open
                is_open = False
    assert not is_open
    return blocks


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(block.get("name", block["type"]), block["said"]) for block in blocks_of(events)]


def test_it_works():
    events = events_of(chunks({"role": "assistant", "content": ""}, {"content": "Hi"}))

    assert [event["type"] for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = events[0]["message"]
    assert (message["id"], message["model"], message["stop_reason"]) == ("msg_1", "m", None)
    assert message["usage"]["input_tokens"] > 0
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert events[-2]["usage"]["input_tokens"] == 7
    assert events[-2]["usage"]["output_tokens"] == 3


def test_nothing_said():
    assert told(events_of(chunks({"role": "assistant", "content": None}))) == []


def test_thinking_then_text_then_a_tool():
    events = events_of(
        chunks(
            {"reasoning_content": "h"},
            {"reasoning_content": "m"},
            {"content": "yes"},
            call(0, "", "call_1", "f"),
            call(0, "{}"),
            finish="tool_calls",
        )
    )
    assert told(events) == [("thinking", "hm"), ("text", "yes"), ("f", "{}")]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_text_after_a_tool_has_a_block_of_its_own():
    events = events_of(chunks({"content": "a"}, call(0, "{}", "1", "f"), {"content": "b"}))
    assert told(events) == [("text", "a"), ("f", "{}"), ("text", "b")]


def test_a_refusal():
    events = events_of(chunks({"refusal": "I "}, {"refusal": "won't"}))
    assert told(events) == [("text", "I won't")]
    delta = events[-2]["delta"]
    assert delta["stop_reason"] == "refusal"
    assert delta["stop_details"]["explanation"] == "I won't"


def test_a_stop_sequence_where_the_provider_names_it():
    events = events_of(chunks({"content": "x"}, stop_reason="END"))
    assert events[-2]["delta"]["stop_sequence"] == "END"


# Parallel calls.


def test_calls_in_a_row():
    events = events_of(
        chunks(call(0, "", "1", "f"), call(0, "{}"), call(1, "", "2", "g"), call(1, "{}"))
    )
    assert told(events) == [("f", "{}"), ("g", "{}")]
    assert [block["id"] for block in blocks_of(events)] == ["1", "2"]


def test_calls_mixed():
    events = events_of(
        chunks(
            call(0, "", "1", "f"),
            call(1, '{"b"', "2", "g"),
            call(2, "{}", "3", "h"),
            call(0, '{"a":'),
            call(1, ":2}"),
            call(0, "1}"),
            call(2, ""),
        )
    )
    assert told(events) == [("f", '{"a":1}'), ("g", '{"b":2}'), ("h", "{}")]


def test_a_call_goes_on_as_soon_as_the_one_before_is_whole():
    stream = MessageStream(ASKED, "msg_1")
    first = chunks(call(0, "{}", "1", "f"), call(1, '{"b"', "2", "g")).split(b"\n\n")
    stream.feed(first[0] + b"\n\n")
    assert b'"name":"g"' in stream.feed(first[1] + b"\n\n")


def test_calls_that_are_never_whole_are_told_all_the_same():
    events = events_of(chunks(call(0, '{"a', "1", "f"), call(1, "{", "2", "g"), finish="length"))
    assert told(events) == [("f", '{"a'), ("g", "{")]
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"


def test_calls_without_arguments():
    events = events_of(chunks(call(0, "", "1", "f"), call(1, "", "2", "g")))
    assert told(events) == [("f", ""), ("g", "")]


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_share_an_index(index: int | None):
    events = events_of(chunks(call(index, '{"a":1}', "1", "f"), call(index, "{}", "2", "g")))
    assert told(events) == [("f", '{"a":1}'), ("g", "{}")]


def test_an_id_in_every_fragment():
    events = events_of(chunks(call(0, "{", "1", "f"), call(0, "}", "1", "f")))
    assert told(events) == [("f", "{}")]


def test_a_name_that_comes_late():
    events = events_of(chunks(call(0, "", "1"), call(0, "{}", name="f")))
    assert told(events) == [("f", "{}")]


def test_only_the_first_choice_is_told():
    other = {"model": "m", "choices": [{"index": 1, "delta": {"content": "other"}}]}
    events = events_of(sse.encode(json.dumps(other).encode()) + chunks({"content": "x"}))
    assert told(events) == [("text", "x")]


# What real providers sent.


@pytest.mark.parametrize("step", [0, 1, 7])
def test_recorded_parallel_tools(step: int):
    events = events_of(recorded("openai-chat-stream-parallel-tools").encode(), step)
    assert told(events) == [("get_country", "{}"), ("get_product_name", "{}")]
    assert events[-2]["usage"]["output_tokens"] == 40


def test_recorded_fragments():
    events = events_of(recorded("mistral-stream-tool-arg-fragments").encode())
    assert told(events) == [("webSearchTool", '{"query": "current Berlin weather"}')]
    assert events[-2]["usage"]["input_tokens"] == 171 - 128
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
