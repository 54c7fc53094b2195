"""Streams, by Channels: server-sent events with the two cures that plain consumers need.

1. Channels' own AsyncHttpConsumer does not notice that the caller hung up while it handles the
   request. Here the stream runs as a task beside a watch on the connection, and is cancelled.
2. ORM calls in consumers queue on one thread for all. Here each call has its own thread context;
   the thread itself starts only if the ORM is used, which the hot path never does.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from asgiref.sync import ThreadSensitiveContext
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer

from api import errors, gateway, headers
from api.requests import Call, Receive, Scope, Send
from providers.wire import CHAT, COMPLETION, Operation
from runestone.lib import sse


class StreamConsumer(AsyncHttpConsumer):  # type: ignore[misc]  # Channels ships no types
    """Sends what `events` yields; ends it at once when the caller hangs up.

    The router has read the (bounded) body already; the call is in the scope.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
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
        async with aclosing(self.events(call)) as events:
            try:
                first = await anext(events)
            except Exception as error:  # noqa: BLE001 -- every error leaves in OpenAI's shape
                await self._refuse(call, error)
                return
            await self._send_headers(200, headers.of_answer(call) | headers.STREAM)
            await self.send_body(first, more_body=True)
            try:
                async for event in events:
                    await self.send_body(event, more_body=True)
            except Exception as error:  # noqa: BLE001 -- the status is sent; an event tells it
                failure = errors.as_gateway_error(error)
                await self.send_body(
                    sse.encode(msgspec.json.encode(failure.body())), more_body=True
                )
            await self.send_body(b"", more_body=False)

    def events(self, call: Call) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError

    async def _refuse(self, call: Call, error: Exception) -> None:
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
