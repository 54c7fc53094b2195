"""Streams relayed: the same bytes and the same usage, however the upstream's bytes are cut."""

import json
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects.openai import OpenAIDialect
from runestone.lib.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from runestone.lib.sse import Reader
from runestone.lib.usage import Usage
from tests.providers.calls import chat, recording

WHOLE = [
    "stream.sse",
    "stream_tools.sse",
    "stream_n2.sse",
    "stream_refusal.sse",
    "stream_comments.sse",
    "stream_filters.sse",
]
ALL = [*WHOLE, "stream_cumulative.sse", "stream_error.sse", "stream_event_error.sse"]
WITH_USAGE = {"include_usage": True}


class Outcome(NamedTuple):
    """What a caller got of a stream, and what the ledger heard."""

    data: bytes
    usage: Usage | None
    pieces: int
    text_bytes: int
    failure: tuple[type, str] | None


def relay(pieces, **fields):
    """The whole stream, driven as the pipeline drives it."""
    made = OpenAIDialect().relay(chat(stream=True, **fields))
    data, usage, count, text_bytes = b"", None, 0, 0
    failure: UpstreamError | None = None
    done = False
    for piece in pieces:
        relayed = made.feed(piece)
        data += relayed.data
        usage = relayed.usage or usage
        count += relayed.pieces
        text_bytes += relayed.text_bytes
        failure, done = relayed.failure, relayed.done
        if failure is not None or done:
            break
    if failure is None and not done:
        try:
            data += made.finish()
        except UpstreamError as error:
            failure = error
    what = None if failure is None else (type(failure), failure.message)
    return Outcome(data, usage, count, text_bytes, what)


def events(data):
    return [event.data for event in Reader().feed(data)]


def chunks(data):
    return [json.loads(event) for event in events(data) if event != b"[DONE]"]


def said(data, choice=0):
    return "".join(
        each["delta"].get("content") or ""
        for chunk in chunks(data)
        for each in chunk["choices"]
        if each["index"] == choice
    )


def test_it_works():
    outcome = relay([recording("stream.sse")])
    assert said(outcome.data) == 'Café \u2028 "quoted"\n \U0001f600!'
    assert events(outcome.data)[-1] == b"[DONE]"
    assert outcome.usage == Usage(input_tokens=9, cached_input_tokens=8, output_tokens=4)
    assert outcome.failure is None
    assert outcome.pieces == 4


@pytest.mark.parametrize("name", WHOLE)
def test_who_asks_for_usage_gets_every_event_as_it_came(name):
    stream = recording(name)
    outcome = relay([stream], stream_options=WITH_USAGE, n=2 if "n2" in name else 1)
    assert events(outcome.data) == events(stream)
    assert outcome.failure is None


@pytest.mark.parametrize("name", WHOLE)
def test_who_does_not_ask_gets_what_there_would_have_been(name):
    outcome = relay([recording(name)], n=2 if "n2" in name else 1)
    assert outcome.usage is not None
    for chunk in chunks(outcome.data):
        assert "usage" not in chunk
    assert events(outcome.data)[-1] == b"[DONE]"
    wanted = [chunk for chunk in chunks(recording(name)) if not chunk.get("usage")]
    assert chunks(outcome.data) == [
        {field: value for field, value in chunk.items() if field != "usage"} for chunk in wanted
    ]


def test_what_looks_like_usage_within_a_text_stays():
    outcome = relay([recording("stream_tools.sse")])
    arguments = "".join(
        call["function"]["arguments"]
        for chunk in chunks(outcome.data)
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", ())
        if call["index"] == 0
    )
    assert arguments == '{"a:2,"usage":null,"b":3}'


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("options", [{}, {"stream_options": WITH_USAGE}], ids=["", "usage"])
def test_every_cut_gives_the_same(name, options):
    stream, fields = recording(name), {**options, "n": 2 if "n2" in name else 1}
    whole = relay([stream], **fields)
    assert relay([bytes([byte]) for byte in stream], **fields) == whole
    for cut in range(0, len(stream), 7):
        assert relay([stream[:cut], stream[cut:]], **fields) == whole


@given(st.sampled_from(ALL), st.sets(st.integers(0, 3_000), max_size=20), st.booleans())
def test_any_cuts_give_the_same(name, cuts, with_crlf):
    stream = recording(name)
    if with_crlf:
        stream = stream.replace(b"\n", b"\r\n")
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert relay(pieces) == relay([recording(name)])


def test_usage_on_every_chunk_counts_once():
    outcome = relay([recording("stream_cumulative.sse")])
    assert outcome.usage == Usage(input_tokens=9, output_tokens=3)


def test_a_finished_stream_without_done_is_finished_by_us():
    outcome = relay([recording("stream_cumulative.sse")])
    assert events(outcome.data)[-1] == b"[DONE]"
    assert outcome.failure is None


def test_nothing_after_done_is_relayed():
    outcome = relay([recording("stream.sse") + b'data: {"late":1}\n\n'])
    assert events(outcome.data)[-1] == b"[DONE]"
    assert outcome.data.count(b"[DONE]") == 1


def test_done_ends_a_stream_whose_vendor_serves_fewer_choices():
    outcome = relay([recording("stream.sse")], n=2)
    assert outcome.failure is None
    assert outcome.data.count(b"[DONE]") == 1


@pytest.mark.parametrize("name", ["stream.sse", "stream_tools.sse", "stream_n2.sse"])
def test_a_stream_cut_anywhere_before_its_end_is_broken(name):
    stream, n = recording(name), 2 if "n2" in name else 1
    last = stream.rindex(b'"finish_reason":"')
    for cut in range(0, last, 11):
        outcome = relay([stream[:cut]], n=n)
        assert outcome.failure is not None, cut
        assert outcome.failure[0] is UpstreamBroken
        assert b"[DONE]" not in outcome.data


def test_both_choices_may_be_in_one_chunk():
    first = b'{"index":0,"delta":{},"finish_reason":"stop"}'
    going = b'{"index":1,"delta":{"content":"x"},"finish_reason":null}'
    ended = b'{"index":1,"delta":{},"finish_reason":"stop"}'
    stream = b'data: {"choices":[' + first + b"," + going + b"]}\n\n"
    assert relay([stream], n=2).failure is not None
    stream += b'data: {"choices":[' + ended + b"]}\n\n"
    assert relay([stream], n=2).failure is None


def test_usage_is_found_beside_a_null_one_in_a_choice():
    stream = (
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":null}],'
        b'"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    )
    assert relay([stream]).usage == Usage(input_tokens=5, output_tokens=2)


def test_usage_with_spaces_is_found_and_null_is_not_usage():
    stream = (
        b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": null}], "usage": null}\n\n'
        b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
        b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}\n\n'
    )
    outcome = relay([stream])
    assert outcome.usage == Usage(input_tokens=5, output_tokens=2)
    assert len(chunks(outcome.data)) == 2


def test_an_error_in_the_middle_ends_the_stream_and_keeps_the_usage():
    outcome = relay([recording("stream_error.sse")])
    assert said(outcome.data) == "Half an"
    assert outcome.usage == Usage(input_tokens=43, output_tokens=10)
    assert outcome.failure is not None
    assert outcome.failure[0] is UpstreamRefused
    assert "worker-12" not in outcome.failure[1]
    assert b"[DONE]" not in outcome.data


def test_an_error_event_ends_the_stream():
    outcome = relay([recording("stream_event_error.sse")])
    assert outcome.failure is not None
    assert b"[DONE]" not in outcome.data
    assert b"error" not in outcome.data


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: hello\n\n",
        b"data: <html>\n\n",
        b"data: [1]\n\n",
        b'data: {"a":\n\n',
        b'data: {"usage":{"prompt_tokens":"many"}}\n\n',
        b'data: {"error":{"message":"\xff"}}\n\n',
        b'data: {"error":' + b"[" * 100_000 + b"}\n\n",
        b"data:\n\n",
    ],
)
def test_garbage_breaks_the_stream(garbage):
    start = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    outcome = relay([start + garbage])
    assert said(outcome.data) == "Hi"
    assert outcome.failure is not None
    assert outcome.failure[0] is UpstreamBroken
    assert b"[DONE]" not in outcome.data


@pytest.mark.parametrize("body", [b"", b"{}", b'{"choices":[]}', b"<html></html>"])
def test_what_is_no_stream_is_broken(body):
    assert relay([body]).failure[0] is UpstreamBroken


def test_an_event_of_several_lines_is_relayed_as_one():
    lines = [b'{"choices":[{"index":0,', b'"delta":{"content":"Hi"},', b'"finish_reason":"stop"}]}']
    stream = b"".join(b"data: %s\n" % line for line in lines) + b"\n"
    outcome = relay([stream])
    assert said(outcome.data) == "Hi"
    assert outcome.data.count(b"\n\n") == len(events(outcome.data)) == 2


def test_what_was_relayed_is_measured_for_a_stream_without_usage():
    texts = ["Hello", " world", "é" * 100]
    stream = b"".join(
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()
        + b"\n\n"
        for text in texts
    )
    outcome = relay([stream])
    assert outcome.usage is None
    assert outcome.pieces == 3
    assert outcome.text_bytes >= sum(len(text.encode()) for text in texts)


def test_groqs_usage_is_found_in_its_own_place():
    relay = OpenAIDialect().relay(chat(stream=True))
    usage = b'"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":4}}'
    choice = b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]'
    relayed = relay.feed(b"data: {" + choice + b"," + usage + b"}\n\n")
    assert relayed.usage == Usage(input_tokens=3, output_tokens=4)
