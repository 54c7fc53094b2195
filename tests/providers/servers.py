"""A client with bounds of its own, and servers that behave worse than the mock provider."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from providers.client import Client, Timeouts, UpstreamResponse
from providers.dialects.base import UpstreamRequest

PATIENT = Timeouts(connect=5, first_byte=5, idle=5, total=10)
# What a wait that should be cut at once may take on a busy machine.
SOON = 2.5


@asynccontextmanager
async def client_with(**bounds: float) -> AsyncIterator[Client]:
    made = Client(replace(PATIENT, **bounds), "Runestone/test")
    try:
        yield made
    finally:
        await made.close()


async def pieces_of(response: UpstreamResponse) -> AsyncIterator[bytes]:
    while piece := await response.next():
        yield piece


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server of one test: it reads a request, and then does what the test says."""

    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(respond: Handler) -> AsyncIterator[Server]:
    state = Server()
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                [length] = [line for line in lines if line.startswith(b"content-length:")]
                state.requests.append(head + await reader.readexactly(int(length.split(b":")[1])))
                await respond(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            state.hung_up.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def post(url: str) -> UpstreamRequest:
    return UpstreamRequest(url, {"content-type": "application/json"}, b"{}")


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
