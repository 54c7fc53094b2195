"""Anthropic's events as chat's chunks, and as they are for those who asked in its words."""

import json
from typing import Any

import msgspec
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from providers.dialects.anthropic import AnthropicDialect
from providers.dialects.base import Relayed
from runestone.lib.errors import UpstreamBroken, UpstreamRefused
from runestone.lib.usage import Usage, UsageSource
from tests.providers.calls import chat
from tests.providers.contract import WITH_USAGE, Heard, cut, heard
from tests.providers.test_anthropic_answers import recorded

DIALECT = AnthropicDialect()
THINKING = {"format": "anthropic-claude-v1"}
KINDS = ["stream", "stream_thinking", "stream_tools", "stream_refusal", "stream_cache_write"]


def relayed(name: str, **fields: Any) -> Heard:
    return heard(DIALECT, [recorded(name)], **fields)


def deltas(got: Heard) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in got.chunks for choice in chunk["choices"]]


def event(fields: dict[str, Any]) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


START = event(
    {
        "type": "message_start",
        "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}},
    }
)
END = event(
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 2},
    }
)
STOP = event({"type": "message_stop"})


def say(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return event({"type": "content_block_delta", "index": 0, "delta": delta})


@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
@pytest.mark.parametrize("name", KINDS)
def test_the_sdk_puts_the_chunks_together(name: str, piece: int):
    stream = recorded(name)
    got = heard(DIALECT, cut(stream, range(piece, len(stream), piece)), **WITH_USAGE)
    assert got.failure is None
    state: Any = ChatCompletionStreamState()
    for chunk in got.chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    final = state.current_completion_snapshot
    assert final.id.startswith("msg_")
    assert final.usage.total_tokens == got.usages[-1].input_tokens + got.usages[-1].output_tokens


def test_thoughts_come_first_and_their_signature_last():
    said = deltas(relayed("stream_thinking"))
    thoughts = [each for each in said if "reasoning_details" in each]
    assert "".join(each.get("reasoning_content", "") for each in thoughts) == 'Let me "count".\n'
    assert [each["reasoning_details"] for each in thoughts] == [
        [{"type": "reasoning.text", "text": "Let me", "index": 0, **THINKING}],
        [{"type": "reasoning.text", "text": ' "count".\n', "index": 0, **THINKING}],
        [{"type": "reasoning.text", "signature": "ErUBCkYIARgCIkDm+/==", "index": 0, **THINKING}],
        [{"type": "reasoning.encrypted", "data": "EvgFCkYIBxgCKkBmxKtC", "index": 1, **THINKING}],
    ]
    assert "".join(each.get("content") or "" for each in said) == "Three of them: é…"


def test_tools_are_counted_apart_from_blocks():
    got = relayed("stream_tools")
    calls = [call for delta in deltas(got) for call in delta.get("tool_calls", ())]
    opened = [
        (call["index"], call["id"], call["function"]["name"]) for call in calls if "id" in call
    ]
    assert opened == [
        (0, "toolu_01", "get_weather"),
        (1, "toolu_02", "get_time"),
        (2, "toolu_03", "get_place"),
    ]
    arguments = ["", "", ""]
    for call in calls:
        arguments[call["index"]] += call["function"]["arguments"]
    # Without deltas it is what its start said, and if that said nothing, nothing.
    assert arguments == ['{"city": "Łódź"}', "{}", '{"x":1}']
    assert got.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_refusal_without_any_block():
    got = relayed("stream_refusal")
    assert [each["refusal"] for each in deltas(got) if each.get("refusal")] == [
        "This cannot be answered."
    ]
    assert got.chunks[-1]["choices"][0]["finish_reason"] == "content_filter"


def test_the_figures_of_the_start_and_of_the_end_are_one():
    got = relayed("stream_cache_write", **WITH_USAGE)
    assert got.usages == [
        Usage(
            input_tokens=1_049, cache_write_tokens=1_031, cache_write_1h_tokens=1_000,
            output_tokens=100,
        )
    ]  # fmt: skip
    usage = got.chunks[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1_049, 100)


def test_a_second_start_is_passed_over():
    got = relayed("stream_duplicate_start")
    assert (got.text, got.failure) == ("Hello there", None)
    assert [delta.get("role") for delta in deltas(got)].count("assistant") == 1


def test_usage_is_on_every_chunk_for_who_asked_for_it():
    *ordinary, last = relayed("stream", **WITH_USAGE).chunks
    assert all(chunk["usage"] is None for chunk in ordinary)
    assert last["usage"]["total_tokens"] == 11
    assert not any("usage" in chunk for chunk in relayed("stream").chunks)


def test_what_passed_is_counted_until_the_figures_come():
    """A stream may be cut at any time: then what was seen so far is owed."""
    relay = DIALECT.relay(chat(stream=True))
    first, second = relay.feed(START), relay.feed(say("one") + say(" two") + say(" three"))
    assert first.usage == Usage(input_tokens=9, output_tokens=1, source=UsageSource.COUNTED)
    assert second.usage == Usage(input_tokens=9, output_tokens=3, source=UsageSource.COUNTED)
    assert (second.pieces, second.text_bytes) == (3, 13)
    last = relay.feed(END + STOP)
    assert last.usage == Usage(input_tokens=9, output_tokens=2)
    assert last.done


def test_a_failure_in_the_same_breath_is_counted_for_too():
    error = event({"type": "error", "error": {"type": "api_error", "message": "No"}})
    got = heard(DIALECT, [START + say("one") + say(" two") + error])
    assert got.usages == [Usage(input_tokens=9, output_tokens=2, source=UsageSource.COUNTED)]


def test_an_end_without_figures_leaves_it_at_what_was_counted():
    end = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    got = heard(DIALECT, [START + say("one") + say(" two") + end + STOP], **WITH_USAGE)
    assert got.usages == [Usage(input_tokens=9, output_tokens=2, source=UsageSource.COUNTED)]
    assert got.chunks[-1]["usage"]["completion_tokens"] == 2


def test_without_any_figures_there_is_no_usage():
    start = event({"type": "message_start", "message": {"id": "msg_1", "model": "m"}})
    end = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    got = heard(DIALECT, [start + say("one") + end + STOP], **WITH_USAGE)
    assert (got.usages, got.failure, got.pieces) == ([], None, 1)
    assert not any(chunk.get("usage") for chunk in got.chunks)


def test_a_missing_stop_is_said_for_it_if_the_answer_is_complete():
    got = heard(DIALECT, [START + say("one") + END])
    assert (got.failure, got.events[-1]) == (None, b"[DONE]")


def test_a_last_event_may_lack_its_blank_line():
    got = heard(DIALECT, [(START + say("one") + END + STOP).rstrip()])
    assert (got.failure, got.events[-1]) == (None, b"[DONE]")


@pytest.mark.parametrize(
    "stream",
    [
        START + say("one"),
        START + say("one") + STOP,
        START + say("one") + END + b"event: message_stop\ndata: {",
        say("one"),
        START + b"data: <html>\n\n",
        START + event({"type": "content_block_delta", "index": "first"}),
    ],
    ids=["cut", "no reason", "cut at the end", "no start", "no JSON", "no event"],
)
def test_a_broken_stream_is_a_failure(stream: bytes):
    got = heard(DIALECT, [stream])
    assert isinstance(got.failure, UpstreamBroken)
    assert b"[DONE]" not in got.events


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("overloaded_error", 503),
        ("rate_limit_error", 429),
        ("api_error", 502),
        ("authentication_error", 502),
        ("timeout_error", 504),
        ("something_new", 502),
    ],
)
def test_an_error_in_mid_stream(kind: str, status: int):
    error = event({"type": "error", "error": {"type": kind, "message": "No"}})
    got = heard(DIALECT, [START + say("one") + error + say("two")])
    assert got.failure is not None
    assert (got.text, got.failure.status) == ("one", status)


def test_an_error_event_may_say_nothing():
    got = heard(DIALECT, [event({"type": "error"})])
    assert isinstance(got.failure, UpstreamRefused)


def test_events_of_unknown_kinds_are_passed_over():
    got = heard(DIALECT, [START + event({"type": "weather", "sun": True}) + say("a") + END + STOP])
    assert (got.text, got.failure) == ("a", None)


# In the caller's own words.


def native(stream: bytes) -> list[Relayed]:
    relay = DIALECT.relay(msgspec.structs.replace(chat(stream=True), native={}))
    return [relay.feed(event + b"\n\n") for event in stream.removesuffix(b"\n\n").split(b"\n\n")]


@pytest.mark.parametrize("name", KINDS)
def test_who_asked_in_its_words_gets_the_events_as_they_are(name: str):
    told = native(recorded(name))
    assert b"".join(each.data for each in told) == recorded(name)
    assert [each.usage for each in told if each.usage][-1] == relayed(name).usages[-1]
    assert told[-1].done


def test_failures_are_noticed_in_its_words_too():
    error = event({"type": "error", "error": {"type": "overloaded_error", "message": "No"}})
    *_, last = native(START + say("one") + error)
    assert last.failure is not None
    assert (last.failure.status, last.data) == (503, b"")
