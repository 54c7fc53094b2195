import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken
from runestone.lib.sse import Event, Reader, encode


def slowly(stream: bytes) -> list[Event]:
    """The WHATWG algorithm word for word, over the whole stream at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf")
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, _ = text.split(b"\n")
    events: list[Event] = []
    data: list[bytes] = []
    name = b""
    for line in lines:
        if line == b"":
            if data:
                events.append(Event(b"\n".join(data), name))
            data, name = [], b""
        elif line.startswith(b":"):
            continue
        else:
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
    return events


def read(pieces: list[bytes]) -> list[Event]:
    reader = Reader()
    return [event for piece in pieces for event in reader.feed(piece)]


line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
words = st.sampled_from([b"", b" ", b"x", b"{}", b"a:b", b"\xc3\xa9", b"\xe2\x80\xa8", b": "])
fields = st.sampled_from(
    [
        b"data:",
        b"data: ",
        b"data",
        b"event: ",
        b"event:",
        b":",
        b": ping",
        b"id: ",
        b"retry: 1",
        b"x",
    ]
)
lines = st.tuples(fields, words).map(b"".join) | st.just(b"")
streams = st.lists(st.tuples(lines, line_ends).map(b"".join), max_size=12).map(b"".join)


@st.composite
def cut_streams(draw):
    stream = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + draw(streams)
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def test_it_works():
    assert Reader().feed(b'data: {"a":1}\n\ndata: [DONE]\n\n') == [
        Event(b'{"a":1}'),
        Event(b"[DONE]"),
    ]


def test_what_is_written_can_be_read():
    reader = Reader()
    assert reader.feed(encode(b"{}") + encode(sse.DONE)) == [Event(b"{}"), Event(b"[DONE]")]
    assert reader.is_between_events


@given(cut_streams())
@example([b"data: x\r\r"])
@example([b"data: x\r", b"\r", b"data: y\r\r"])
@example([b"\xef", b"\xbb", b"\xbfdata: x\n\n"])
def test_any_cut_of_any_stream_gives_the_same_events(pieces):
    assert read(pieces) == slowly(b"".join(pieces))


@pytest.mark.parametrize(
    "stream",
    [
        b"data: one\n\ndata: two\n\n",
        b"data: one\r\n\r\ndata: two\r\n\r\n",
        b"data: one\r\rdata: two\r\r",
        b"data: one\r\n\ndata: two\n\r\n",
        b"\xef\xbb\xbfdata: one\n\ndata: two\n\n",
        b": a comment\n\ndata:one\n\n: another\ndata:two\n\n",
        b"id: 1\nretry: 10\n\nid: 2\ndata: one\n\nunknown: x\ndata: two\n\n",
    ],
    ids=["lf", "crlf", "cr", "mixed", "bom", "comments", "other fields"],
)
def test_every_form_at_every_cut(stream):
    expected = [Event(b"one"), Event(b"two")]
    assert read([bytes([byte]) for byte in stream]) == expected
    for cut in range(len(stream) + 1):
        assert read([stream[:cut], stream[cut:]]) == expected


def test_several_data_lines_are_one_event():
    [event] = Reader().feed(b"event: error\ndata: one\ndata:  two\ndata\n\n")
    assert event == Event(b"one\n two\n", b"error")


def test_an_event_without_data_is_left_out():
    assert Reader().feed(b"event: ping\n\n: hello\n\n\n\n") == []


@pytest.mark.parametrize("rest", [b"data: x", b"data: x\n", b"dat", b"event: e\n"])
def test_a_cut_off_event_is_noticed(rest):
    reader = Reader()
    assert reader.feed(b"data: {}\n\n" + rest) == [Event(b"{}")]
    assert not reader.is_between_events


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\n\n"])
def test_an_end_between_events_is_an_end(end):
    reader = Reader()
    reader.feed(b"data: {}" + end)
    assert reader.is_between_events


def test_a_flood_without_an_end_is_refused():
    reader = Reader()
    piece = b"x" * (4 * 1024 * 1024)
    reader.feed(b"data: ")
    with pytest.raises(UpstreamBroken, match="too large"):
        for _ in range(5):
            reader.feed(piece)


def test_a_large_event_fits():
    data = b"x" * (2 * 1024 * 1024)
    pieces = [encode(data)[start : start + 65_536] for start in range(0, len(data) + 16, 65_536)]
    assert read(pieces) == [Event(data)]
