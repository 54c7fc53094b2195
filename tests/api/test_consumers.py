"""The two cures of the stream consumer; each test first shows the illness in a plain consumer."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from asgiref.sync import sync_to_async
from channels.generic.http import AsyncHttpConsumer

from api.consumers import StreamConsumer
from api.requests import Call

CHUNKS = 40
GAP_SECONDS = 0.02
HANG_UP_SECONDS = 0.1
ORM_SECONDS = 0.2
CALLERS = 5


class Line:
    """A caller's connection: it listens for a while, then hangs up."""

    def __init__(self, hang_up_seconds: float) -> None:
        self.sent: list[dict[str, Any]] = []
        self._hang_up_seconds = hang_up_seconds
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.sleep(self._hang_up_seconds)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def call(self, consumer: type[AsyncHttpConsumer]) -> None:
        scope = {"type": "http", "path": "/", "call": Call({}, b"")}
        await consumer.as_asgi()(scope, self.receive, self.send)

    @property
    def chunks(self) -> int:
        return sum(bool(message.get("body")) for message in self.sent)


class Plain(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=[])
        for _ in range(CHUNKS):
            await asyncio.sleep(GAP_SECONDS)
            await self.send_body(b"chunk", more_body=True)
        await self.send_body(b"")


class Cured(StreamConsumer):
    ended = 0

    async def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(CHUNKS):
                await asyncio.sleep(GAP_SECONDS)
                yield b"chunk"
        finally:
            type(self).ended += 1


async def test_a_hang_up_ends_the_stream():
    plain, cured = Line(HANG_UP_SECONDS), Line(HANG_UP_SECONDS)
    await plain.call(Plain)
    await cured.call(Cured)

    assert plain.chunks == CHUNKS
    assert 0 < cured.chunks < CHUNKS / 4
    assert Cured.ended == 1


async def test_a_caller_who_stays_gets_everything():
    patient = Line(hang_up_seconds=60)
    await patient.call(Cured)

    assert patient.chunks == CHUNKS
    assert patient.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_slow_reader_is_waited_for():
    """Nothing is gathered for it: the next event is asked for when the last one was taken."""
    made = 0

    class Counting(StreamConsumer):
        async def events(self, call: Call) -> AsyncGenerator[bytes, None]:
            nonlocal made
            while True:
                made += 1
                yield b"x" * 65_536

    class SlowReader(Line):
        async def send(self, message: dict[str, Any]) -> None:
            await asyncio.sleep(0.02)
            await super().send(message)

    slow = SlowReader(HANG_UP_SECONDS)
    await slow.call(Counting)
    assert made <= slow.chunks + 1 <= 10


class PlainOrm(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await sync_to_async(time.sleep)(ORM_SECONDS)
        await self.send_response(200, b"done")


class CuredOrm(StreamConsumer):
    async def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        await sync_to_async(time.sleep)(ORM_SECONDS)
        yield b"done"


async def seconds_of(consumer: type[AsyncHttpConsumer]) -> float:
    started = time.monotonic()
    await asyncio.gather(*(Line(60).call(consumer) for _ in range(CALLERS)))
    return time.monotonic() - started


async def test_database_calls_of_streams_do_not_queue_on_one_thread():
    assert await seconds_of(PlainOrm) >= CALLERS * ORM_SECONDS
    assert await seconds_of(CuredOrm) < CALLERS * ORM_SECONDS / 2
