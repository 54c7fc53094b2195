import json

import pytest


def words_of(chunks):
    return [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]


def test_it_works(ask, line):
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))

    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert words_of(chunks) == ["The ", "quick ", "brown ", "fox"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 4
    assert line()["completion_tokens"] == 4
    assert line()["streamed"]
    assert line()["finished"]


def test_a_content_chunk_is_a_token(ask, line):
    chunks = list(ask("chunks=50", stream=True))
    assert len(words_of(chunks)) == 50
    assert line()["completion_tokens"] == 50


def test_usage_is_null_until_the_last_chunk(bytes_of):
    reply = bytes_of("normal", stream=True, stream_options={"include_usage": True})
    events = [json.loads(chunk[6:]) for chunk in reply.chunks()[:-2]]
    assert [event["usage"] is None for event in events] == [True] * 6 + [False]
    assert reply.chunks()[-2:] == [b"data: [DONE]\n\n", b""]
    assert b"text/event-stream; charset=utf-8" in reply.head


def test_usage_is_absent_unless_asked_for(bytes_of, line):
    assert b'"usage"' not in bytes_of("normal", stream=True).body
    assert line()["completion_tokens"] == 4


def test_obfuscation_can_be_refused(bytes_of):
    refused = {"include_obfuscation": False}
    assert b"obfuscation" in bytes_of("normal", stream=True).body
    assert b"obfuscation" not in bytes_of("normal", stream=True, stream_options=refused).body


def test_choices_interleave(ask, line):
    chunks = list(ask(stream=True, n=2))
    assert [chunk.choices[0].index for chunk in chunks] == [0, 1] * 6
    assert line()["completion_tokens"] == 8


def test_the_limit_cuts(ask, line):
    chunks = list(ask(stream=True, max_tokens=3))
    assert words_of(chunks) == ["The ", "quick ", "brown"]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert line()["completion_tokens"] == 3


def test_no_usage(ask, line):
    options = {"include_usage": True}
    assert not any(c.usage for c in ask("no_usage", stream=True, stream_options=options))
    assert line()["completion_tokens"] == 4


def test_usage_every_chunk_grows(ask):
    chunks = list(ask("usage_every_chunk;reasoning=2", stream=True))
    assert [c.usage.completion_tokens for c in chunks] == [2, 3, 4, 5, 6, 6]


def test_usage_twice(ask):
    options = {"include_usage": True}
    chunks = list(ask("usage_twice", stream=True, stream_options=options))
    assert [c.usage.total_tokens for c in chunks if c.usage] == [8, 8]


def test_a_huge_chunk_is_one_token(ask, line):
    (word,) = words_of(ask("huge=3000000", stream=True))
    assert word == "x" * 3_000_000
    assert line()["completion_tokens"] == 1


@pytest.mark.parametrize("scenario", ["comments", "crlf", "crlf;comments;split=1", "split=3"])
def test_odd_framing_changes_nothing(ask, scenario):
    chunks = ask(scenario, text="naïve 漢字 \U0001f600", stream=True)
    assert "".join(words_of(chunks)) == "naïve 漢字 \U0001f600"


def test_crlf_splits_characters(bytes_of):
    reply = bytes_of("crlf", text="漢字漢字漢字漢字", stream=True)
    whole = b"".join(reply.chunks())
    assert b"\r\n\r\ndata: [DONE]\r\n\r\n" in whole
    assert b"\n\n" not in whole
    assert max(map(len, reply.chunks())) == 7
    with pytest.raises(UnicodeDecodeError):
        [chunk.decode() for chunk in reply.chunks()]


def test_comments(bytes_of):
    assert bytes_of("comments", stream=True).body.count(b": MOCK PROVIDER PROCESSING\n\n") == 7


def test_no_done(bytes_of, line):
    reply = bytes_of("no_done", stream=True)
    assert b"[DONE]" not in reply.body
    assert reply.chunks()[-1] == b""
    assert line()["finished"]


def test_junk_is_an_event_that_is_not_json(bytes_of, line):
    events = [chunk[6:].strip() for chunk in bytes_of("junk=1", stream=True).chunks()[:-2]]
    broken = [event for event in events if not event.endswith(b"}")]
    assert broken == [b'{"id":"chatcmpl-']
    assert line()["completion_tokens"] == 4
