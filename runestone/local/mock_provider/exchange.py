"""One request and its reply: the only file that talks to the connection."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from fcntl import ioctl
from itertools import count
from termios import TIOCOUTQ
from time import monotonic
from typing import Any

from runestone.local.mock_provider.errors import Headers, HungUpError, ProviderError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_BYTES_MAX = 64 * 1024 * 1024
# A reset throws away what the kernel was not given yet; wait so long for it to go out.
FLUSH_SECONDS_MAX = 2.0

# Ids only have to be unique: the process's own random half and a counter are cheaper
# than random bytes for each call.
_process = os.urandom(10).hex().encode()
_numbers = count(1)

JSON = (b"content-type", b"application/json")
HTML = (b"content-type", b"text/html; charset=utf-8")
SSE = (b"content-type", b"text/event-stream; charset=utf-8")
VERSION = (b"openai-version", b"2020-10-01")
NO_CACHE = (b"cache-control", b"no-cache")
CLOSE = (b"connection", b"close")


class Exchange:
    """Reads the request, sends the reply, and notices that the client has gone."""

    __slots__ = (
        "_receive", "_send", "_watcher", "deaf", "headers", "marks", "number", "scope", "started",
    )  # fmt: skip

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.number = b"%s%012x" % (_process, next(_numbers))
        self.started = monotonic()
        self.deaf = False
        # What every reply on this path says of itself, beside OpenAI's headers.
        self.marks: Headers = []
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None

    @property
    def request_id(self) -> str:
        """Our x-request-id."""
        return "req_" + self.number.decode()

    def header(self, name: bytes) -> str | None:
        """A request header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self) -> bytes:
        """The whole request body; usually it is there in one piece."""
        message = await self._receive()
        if not message.get("more_body"):
            return bytes(message.get("body", b""))
        return await self._long_body(bytearray(message["body"]))

    async def _long_body(self, body: bytearray) -> bytes:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HungUpError
            body += message["body"]
            more = message["more_body"]
            if len(body) > BODY_BYTES_MAX:
                raise ProviderError(413, "The request body is too large.", headers=[CLOSE])
        return bytes(body)

    # Replies in one piece.

    async def json(self, body: bytes, status: int = 200, headers: Headers | None = None) -> None:
        """Send a JSON reply."""
        await self.reply(status, JSON, body, headers)

    async def error(self, error: ProviderError) -> None:
        """Send an error in OpenAI's shape."""
        await self.json(error.body, error.status, error.headers)

    async def reply(
        self, status: int, kind: tuple[bytes, bytes], body: bytes, headers: Headers | None = None
    ) -> None:
        """Send any reply whose length is known."""
        await self.start(status, kind, len(body), headers)
        await self._send({"type": "http.response.body", "body": body})

    async def start(
        self,
        status: int,
        kind: tuple[bytes, bytes],
        length: int | None,
        headers: Headers | None = None,
    ) -> None:
        """Send the status line and headers; without a length the body is chunked."""
        lines = [kind, VERSION, (b"x-request-id", b"req_" + self.number), self._processing()]
        lines.append(NO_CACHE if length is None else (b"content-length", b"%d" % length))
        lines += self.marks
        lines += headers or ()
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    def _processing(self) -> tuple[bytes, bytes]:
        return (b"openai-processing-ms", b"%d" % ((monotonic() - self.started) * 1000))

    # Replies in pieces.

    async def write(self, data: bytes) -> None:
        """Send a piece of the body. Raises HungUpError if the client has gone."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if self._watcher is not None and self._watcher.done() and not self.deaf:
            raise HungUpError

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece of the body."""
        await self._send({"type": "http.response.body", "body": data})

    # The client, coming and going.

    def watch(self) -> asyncio.Task[None]:
        """Start to look out for the client's hang-up. The body must have been read."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._gone())
        return self._watcher

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def pause(self, seconds: float) -> None:
        """Sleep. Raises HungUpError as soon as the client goes, unless the provider is deaf."""
        if self.deaf:
            await asyncio.sleep(seconds)
        elif seconds > 0:
            done, _ = await asyncio.wait((self.watch(),), timeout=seconds)
            if done:
                raise HungUpError

    async def until_gone(self) -> None:
        """Do nothing until the client gives up."""
        await self.watch()

    async def cut(self, *, reset: bool) -> None:
        """Cut the connection under the reply: by RST, or in order by FIN.

        ASGI has no word for this, so we reach through uvicorn's bound `send` for the
        transport. What was sent so far still reaches the client.
        """
        transport: asyncio.Transport = self._send.__self__.transport  # type: ignore[attr-defined]
        await self._flushed(transport)
        if reset:
            _linger_zero(transport)
            transport.abort()
        else:
            transport.close()
        # Until uvicorn has noticed: it would log a reply that was never completed.
        await self.watch()

    async def _flushed(self, transport: asyncio.Transport) -> None:
        deadline = monotonic() + FLUSH_SECONDS_MAX
        await asyncio.sleep(0)
        # Neither a transport nor a kernel has an event for an empty buffer.
        while _unsent_bytes(transport) and monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """What the client has not acknowledged yet, in our buffer or in the kernel's."""
    waiting = transport.get_write_buffer_size()
    with suppress(OSError):  # Only Linux knows; elsewhere a reset may swallow a little.
        queued = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, b"\0" * 4)
        waiting += int.from_bytes(queued, sys.byteorder)
    return waiting


def _linger_zero(transport: asyncio.Transport) -> None:
    """Make the kernel send RST at close."""
    peer = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
