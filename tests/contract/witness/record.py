"""Replies of a gateway: taken down in its process, read again in the process of the tests."""

import gzip
import os
import queue
import re
import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from runestone.lib import sse
from tests.contract.witness.shapes import shape, shortened

# Where a run's records lie; set by the plugin.
DIRECTORY = "RUNESTONE_WITNESS"
# The file in it that names the test under way, and its size.
TEST = "test"
TEST_BYTES = 512
# Of a reply that is longer the rest is not seen: a stream's first events are judged all the same.
# Little, for some tests weigh what a gateway keeps in memory.
REPLY_BYTES_MAX = 1024 * 1024
# A reply that is kept, in JSON. Larger ones are counted and not judged.
KEPT_BYTES_MAX = 1024 * 1024
# Replies that wait to be looked at. Those beyond are counted and not judged.
WAITING_MAX = 1_000
# A run has a few hundred shapes; this many mean that shapes are too fine.
SHAPES_MAX = 20_000
CLOSE_SECONDS_MAX = 5.0
# In a path, what names one of many.
_NAMES = re.compile(r"(?<=/models/).+|(?<=/responses/)[^/]+")


class Seen(msgspec.Struct, frozen=True):
    """One JSON value that a gateway answered: a whole body, or an event of a stream."""

    test: str
    method: str
    path: str
    status: int
    is_event: bool
    value: Any = None
    # What kept it from being read at all.
    fault: str = ""


class Tally(msgspec.Struct, frozen=True):
    """What a witness saw, and what it could not look at, by the reason."""

    tally: dict[str, int]


@dataclass
class Reply:
    """A reply while it is sent."""

    test: str
    method: str
    path: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0

    def observe(self, message: Any) -> None:
        """One ASGI message on its way to the caller."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            if self.size <= REPLY_BYTES_MAX:
                self.pieces.append(message.get("body", b""))

    @property
    def is_cut(self) -> bool:
        return self.size > REPLY_BYTES_MAX

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def seen(self) -> Iterator[Seen]:
        about = (self.test, self.method, self.path, self.status, self.is_stream)
        try:
            for data in self._documents():
                yield Seen(*about, msgspec.json.decode(data))
        # Whatever it is: a witness that cannot read a reply has to say so, and go on.
        except Exception as error:  # noqa: BLE001
            yield Seen(*about, fault=f"it cannot be read: {error!r}")

    def _documents(self) -> Iterator[bytes]:
        """The JSON in it."""
        body = b"".join(self.pieces)
        if self.is_stream:
            events = (event.data for event in sse.Reader().feed(body))
            yield from (data for data in events if not data.startswith(sse.DONE))
        elif body and not self.is_cut:
            packed = self.headers.get("content-encoding") == "gzip"
            yield gzip.decompress(body) if packed else body


class Witness:
    """Looks at replies, on a thread of its own, and keeps those of a new shape."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / f"{os.getpid()}.jsonl").open("wb", buffering=0)
        self._test = os.open(directory / TEST, os.O_RDONLY)
        self._waiting: queue.Queue[Reply | None] = queue.Queue(WAITING_MAX)
        self._known: set[Hashable] = set()
        self._tally: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._look, name="witness", daemon=True)
        self._thread.start()

    def test(self) -> str:
        """The test under way."""
        return os.pread(self._test, TEST_BYTES, 0).decode().strip()

    def take(self, reply: Reply) -> None:
        try:
            self._waiting.put_nowait(reply)
        except queue.Full:
            self._tally["not looked at, too many at once"] += 1

    def close(self) -> None:
        """When everything is looked at that was taken."""
        self._waiting.put(None)
        self._thread.join(CLOSE_SECONDS_MAX)
        self._write(Tally(dict(self._tally)))
        self._file.close()
        os.close(self._test)

    def _look(self) -> None:
        while (reply := self._waiting.get()) is not None:
            self._tally["replies"] += 1
            self._tally["cut short"] += reply.is_cut
            for seen in reply.seen():
                self._keep(seen)

    def _keep(self, seen: Seen) -> None:
        endpoint = _NAMES.sub("*", seen.path)
        kind = (seen.method, endpoint, seen.status, seen.is_event, seen.fault)
        known = hash((kind, shape(seen.value)))
        if known in self._known:
            return
        if len(self._known) >= SHAPES_MAX:
            self._tally["not kept, too many shapes"] += 1
            return
        self._known.add(known)
        self._write(msgspec.structs.replace(seen, value=shortened(seen.value)))

    def _write(self, line: Seen | Tally) -> None:
        encoded = msgspec.json.encode(line)
        if len(encoded) > KEPT_BYTES_MAX:
            self._tally["not kept, too large"] += 1
        else:
            self._file.write(encoded + b"\n")


class Recorded:
    """What the witnesses of a run have written into its directory."""

    def __init__(self, directory: Path) -> None:
        self.seen: list[Seen] = []
        self.tally: Counter[str] = Counter()
        for file in sorted(directory.glob("*.jsonl")):
            # A process that was killed leaves half a line at the end.
            for line in file.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    self._add(msgspec.json.decode(line))

    def _add(self, line: dict[str, Any]) -> None:
        if "tally" in line:
            self.tally.update(line["tally"])
        else:
            self.seen.append(msgspec.convert(line, Seen))
