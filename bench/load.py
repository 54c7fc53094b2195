"""The load generator: `python -m bench.load '{...}'` prints what it saw as JSON.

Raw sockets, one request in bytes made beforehand, and answers that are counted and not parsed, so
that it costs a fraction of the servers it drives. It runs in a process of its own, beside them.

- Closed loop: each connection sends its next request when its answer is complete.
- Open loop: requests leave at a rate whatever becomes of them, so a slow answer delays nobody.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from bench import machine

LAST_ANSWERS_SECONDS_MAX = 60.0
CONNECT_ATTEMPTS_MAX = 50

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_EVENT = b"data: {"
_END_OF_CHUNKS = b"0\r\n\r\n"


@dataclass
class Load:
    """What to send where, and how fast."""

    url: str
    key: str
    body: dict[str, Any]
    connections: int
    seconds: float
    warm_seconds: float = 1.0
    # Requests a second; None closes the loop.
    rate: float | None = None
    # Processes whose CPU time is read at both ends of the measured time.
    watch: dict[str, int] = field(default_factory=dict)

    def request(self) -> bytes:
        url, body = urlsplit(self.url), json.dumps(self.body, separators=(",", ":")).encode()
        head = (
            f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\n"
            f"authorization: Bearer {self.key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Tally:
    """What happened in the measured time; `answers` alone counts from the first request on."""

    def __init__(self) -> None:
        self.answers = 0
        self.statuses: Counter[str] = Counter()
        self.oddity = ""
        self.begin()

    def begin(self) -> None:
        self.seconds: list[float] = []
        self.first_seconds: list[float] = []
        self.events = 0


class Caller(asyncio.Protocol):
    """One keep-alive connection, with at most one request under way."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._answer: list[bytes] = []
        self.is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is one in all but its ancestry.
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        assert self._transport is not None
        self.is_busy = True
        self._sent = time.perf_counter()
        self._first: float | None = None
        self._missing: int | None = None
        self._tail = b""
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            data = self._begin(data)
        if self._missing == -1:
            self._stream(data)
        elif self._missing is not None:
            self._missing -= len(data)
            if self._missing <= 0:
                self._end()

    def _begin(self, data: bytes) -> bytes:
        """Reads the headers; gives what is after them."""
        data = self._tail + data
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self._tail = data
            return b""
        self._tail = b""
        self._status = data[9:12]
        length = _LENGTH.search(head)
        self._missing = -1 if length is None else int(length[1])
        if self._status != b"200" and not self._run.tally.oddity:
            self._run.tally.oddity = data[:1000].decode(errors="replace")
        return rest

    def _stream(self, data: bytes) -> None:
        # An event's first bytes may be cut in two.
        seen = self._tail + data
        events = seen.count(_EVENT)
        if events:
            self._run.tally.events += events
            if self._first is None:
                self._first = time.perf_counter() - self._sent
        self._tail = seen[-(len(_EVENT) - 1) :] if len(seen) >= len(_EVENT) else seen
        if seen.endswith(_END_OF_CHUNKS):
            self._end()

    def _end(self) -> None:
        tally = self._run.tally
        tally.seconds.append(time.perf_counter() - self._sent)
        if self._first is not None:
            tally.first_seconds.append(self._first)
        tally.answers += self._status == b"200"
        tally.statuses[self._status.decode()] += 1
        self.is_busy = False
        self._run.answered(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.is_busy:
            self.is_busy = False
            self._run.tally.statuses["lost"] += 1
        self._run.lost(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Run:
    """One load from its first request to its last answer."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.request = load.request()
        self.tally = Tally()
        self._callers: set[Caller] = set()
        self._idle: list[Caller] = []
        self._sending = True

    async def __call__(self) -> dict[str, Any]:
        for _ in range(self.load.connections):
            self._callers.add(await self._connected())
        pacing = None
        if self.load.rate is None:
            for caller in self._callers:
                caller.send()
        else:
            self._idle = list(self._callers)
            pacing = asyncio.create_task(self._pace(self.load.rate))
        await asyncio.sleep(self.load.warm_seconds)
        measured = await self._measure()
        self._sending = False
        if pacing is not None:
            await pacing
        await self._last_answers()
        return measured | {"answers": self.tally.answers}

    async def _measure(self) -> dict[str, Any]:
        before = {name: machine.cpu_seconds(pid) for name, pid in self.load.watch.items()}
        own, whole_machine = time.process_time(), machine.busy_seconds()
        self.tally.begin()
        begun = time.perf_counter()
        await asyncio.sleep(self.load.seconds)
        seconds = time.perf_counter() - begun
        tally = self.tally
        cpu = {
            name: machine.cpu_seconds(pid) - before[name] for name, pid in self.load.watch.items()
        }
        return {
            "seconds": seconds,
            "requests": len(tally.seconds),
            "events": tally.events,
            "milliseconds": quantiles(tally.seconds),
            "first_milliseconds": quantiles(tally.first_seconds),
            "machine_seconds": machine.busy_seconds() - whole_machine,
            "cpu_seconds": cpu | {"load": time.process_time() - own},
            "resident_mb": {n: machine.resident_mb(pid) for n, pid in self.load.watch.items()},
            "statuses": dict(tally.statuses),
            "oddity": tally.oddity,
        }

    async def _pace(self, rate: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._sending:
            caller = self._idle.pop() if self._idle else await self._connected()
            self._callers.add(caller)
            caller.send()
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - loop.time()))

    def answered(self, caller: Caller) -> None:
        if self.load.rate is not None:
            self._idle.append(caller)
        elif self._sending:
            caller.send()

    def lost(self, caller: Caller) -> None:
        self._callers.discard(caller)
        if caller in self._idle:
            self._idle.remove(caller)
        if self._sending and self.load.rate is None:
            self._reconnecting = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        caller = await self._connected()
        self._callers.add(caller)
        caller.send()

    async def _connected(self) -> Caller:
        url = urlsplit(self.load.url)
        host, port = url.hostname or "", url.port or 80
        loop = asyncio.get_running_loop()
        for _ in range(CONNECT_ATTEMPTS_MAX):
            try:
                _, caller = await loop.create_connection(lambda: Caller(self), host, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return caller
        raise ConnectionError(f"{self.load.url} cannot be reached")

    async def _last_answers(self) -> None:
        """The answers that were under way count too: each has a line in the ledger."""
        deadline = time.monotonic() + LAST_ANSWERS_SECONDS_MAX
        while any(caller.is_busy for caller in self._callers) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for caller in list(self._callers):
            caller.close()


def quantiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        f"p{percent}": ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000
        for percent in (50, 95, 99)
    }


def main() -> None:
    load = Load(**json.loads(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(Run(load)())))


if __name__ == "__main__":
    main()
