"""Streams, by Channels: server-sent events with the cures that plain consumers need.

1. Channels' own AsyncHttpConsumer does not notice that the caller hung up while it handles the
   request. Here the stream runs as a task beside a watch on the connection, and is cancelled.
2. ORM calls in consumers queue on one thread for all. Here each call has its own thread context;
   the thread itself starts only if the ORM is used, which the hot path never does.
3. A silent connection is cut by proxies. Here a comment goes out whenever nothing has come for a
   while. A refusal keeps its status if it comes before the first comment; later it is an event.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import inf
from typing import Any

import msgspec
from asgiref.sync import ThreadSensitiveContext
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from django.conf import settings

from api import errors, gateway, headers
from api.pulse import KEEP_ALIVE, Pulse
from api.requests import Call, Receive, Scope, Send
from providers.wire import CHAT, COMPLETION, Operation
from runestone.lib import sse
from runestone.lib.errors import GatewayError


class StreamConsumer(AsyncHttpConsumer):  # type: ignore[misc]  # Channels ships no types
    """Sends what `events` yields; ends it at once when the caller hangs up.

    The router has read the (bounded) body already; the call is in the scope.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        async with ThreadSensitiveContext():
            await super().__call__(scope, receive, send)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels' own would close old database connections first: a thread for every stream."""
        if message["type"] != "http.request":
            raise StopConsumer
        await self.http_request(message)

    async def http_request(self, message: dict[str, Any]) -> None:
        streaming = asyncio.create_task(self.handle(b""))
        watching = asyncio.create_task(self._hung_up())
        try:
            await asyncio.wait({streaming, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (streaming, watching):
                task.cancel()
            await asyncio.gather(streaming, watching, return_exceptions=True)
        raise StopConsumer

    async def _hung_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def handle(self, body: bytes) -> None:
        call: Call = self.scope["call"]
        self._is_open = False
        self._pulse = Pulse(settings.RUNESTONE_KEEP_ALIVE_SECONDS, self._beat)
        try:
            async with aclosing(self.events(call)) as events:
                await self._relay(call, events)
        finally:
            self._pulse.drop()

    async def _relay(self, call: Call, events: AsyncGenerator[bytes, None]) -> None:
        try:
            async for event in events:
                if not self._is_open:
                    await self._open(call)
                await self._tell(event)
        except Exception as error:  # noqa: BLE001 -- every error leaves in OpenAI's shape
            await self._pulse.quiet()
            if not self._is_open:
                await self._refuse(call, error)
                return
            # The status is sent: an event tells it.
            await self._tell(self.error_event(errors.as_gateway_error(error)))
        if not self._is_open:
            await self._open(call)
        self._pulse.stop()
        await self._tell(b"", more_body=False)

    async def _tell(self, event: bytes, *, more_body: bool = True) -> None:
        """Sends an event, or waits until the caller has read enough of those before."""
        pulse = self._pulse
        if pulse.beating is not None:
            await pulse.quiet()
        pulse.sent_at = inf
        # Channels' own methods for it would be two more coroutines for each event.
        await self.base_send({"type": "http.response.body", "body": event, "more_body": more_body})
        pulse.sent_at = self._loop.time()

    async def _open(self, call: Call) -> None:
        if self._pulse.beating is not None:
            await self._pulse.quiet()
        # The beat may have done it.
        if not self._is_open:
            self._pulse.sent_at = inf
            self._is_open = True
            await self._send_headers(200, headers.of_answer(call) | headers.STREAM)

    async def _beat(self) -> None:
        """Nothing has come for long. From here on the answer is a stream, even if it fails."""
        if not self._is_open:
            self._is_open = True
            call: Call = self.scope["call"]
            await self._send_headers(200, headers.of_answer(call) | headers.STREAM)
        await self.send_body(KEEP_ALIVE, more_body=True)

    def error_event(self, failure: GatewayError) -> bytes:
        """How a failure is told in mid-stream."""
        return sse.encode(msgspec.json.encode(failure.body()))

    def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError

    async def _refuse(self, call: Call, error: Exception) -> None:
        self._pulse.stop()
        status, own, body = errors.respond_to(error)
        await self._send_headers(status, headers.of_answer(call) | headers.JSON | own)
        await self.send_body(body)

    async def _send_headers(self, status: int, named: dict[str, str]) -> None:
        await self.send_headers(
            status=status,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in named.items()],
        )


class ModelStream(StreamConsumer):
    """An endpoint that asks a model something, and streams its answer."""

    operation: Operation

    async def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        runestone = await gateway.current()
        async with aclosing(runestone.pipeline.stream(call, self.operation)) as events:
            async for event in events:
                yield event


class ChatStream(ModelStream):
    operation = CHAT


class CompletionStream(ModelStream):
    operation = COMPLETION
