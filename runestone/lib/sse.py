"""Server-sent events, read and written.

Reading follows the WHATWG grammar (LF, CRLF or CR; several data lines; comments). Writing keeps to
what every SDK survives: `data:` lines and comments only, never `id:`, `retry:` or a BOM.
"""

from typing import NamedTuple

from runestone.lib.errors import UpstreamBroken

# The largest single event we gather from an upstream: an image in a delta fits, a flood does not.
EVENT_BYTES_MAX = 16 * 1024 * 1024

MEDIA_TYPE = "text/event-stream"
DONE = b"[DONE]"
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    data: bytes
    name: bytes = b""


def encode(data: bytes) -> bytes:
    """One event of one line; `data` is compact JSON or `[DONE]`, so it has no line ends."""
    return b"data: " + data + b"\n\n"


class Reader:
    """Turns bytes, cut anywhere, into events. Comments and events without data are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if b"\r" in data or self._after_cr:
            data = self._with_plain_line_ends(data)
        if self._rest:
            data = self._rest + data
        if not self._begun:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest = data
                return []
            data = data.removeprefix(_BOM)
            self._begun = True
        *events, self._rest = data.split(b"\n\n")
        if len(self._rest) > EVENT_BYTES_MAX:
            raise UpstreamBroken("The provider sent an event that is too large.")
        return [event for event in map(_parse, events) if event is not None]

    def _with_plain_line_ends(self, data: bytes) -> bytes:
        # A CR ends its line at once; an LF right after it, perhaps in the next data, is the rest.
        if self._after_cr:
            if not data:
                return data
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @property
    def is_between_events(self) -> bool:
        """Whether the bytes so far end where an event ends: nothing was cut off."""
        return not self._rest.strip()


def _parse(block: bytes) -> Event | None:
    # Nearly all events are one line `data: …`; the general case follows.
    if b"\n" not in block and block.startswith(b"data: "):
        return Event(block[6:])
    data: list[bytes] = []
    name = b""
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(b"\n".join(data), name) if data else None
