"""The one place that opens connections to providers on the hot path.

aiohttp, measured: it passes each chunk on as it comes, and costs a tenth of httpx (decision 0005).
The interface is narrow so that the choice stays in this file.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

import aiohttp

from providers.dialects import echo
from providers.dialects.base import UpstreamRequest
from runestone.lib.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable

# One gateway process keeps at most so many connections to all providers together.
CONNECTIONS_MAX = 4_096
# An answer larger than this is not an answer: an image in base64 fits well.
ANSWER_BYTES_MAX = 64 * 1024 * 1024
# An upstream that has said everything should end its body; we do not wait for it longer.
END_SECONDS_MAX = 0.25
# Of a refusal we read enough for its message.
REFUSAL_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Named bounds on every wait for a provider, in seconds."""

    connect: float
    first_byte: float
    idle: float
    total: float


class Body(Protocol):
    """A body as it arrives. aiohttp's StreamReader is one."""

    async def readany(self) -> bytes:
        """What has arrived since; empty at the end."""
        ...


class UpstreamResponse:
    """An upstream's response, its status and headers (of any case) read, its body to come."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Body) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    def is_of(self, media_type: str) -> bool:
        return self.headers.get("content-type", "").lower().startswith(media_type)

    async def next(self) -> bytes:
        """What has arrived of the body; empty at its end.

        Raises UpstreamBroken if it is cut off, UpstreamTimeout if nothing comes for too long.
        """
        try:
            return await self._body.readany()
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise UpstreamTimeout("The provider stopped sending in mid-answer.") from None
        except (aiohttp.ClientError, ConnectionError):
            raise UpstreamBroken("The provider cut its answer off.") from None

    async def give_back(self) -> None:
        """Once the answer is complete: lets the connection be used again, if it ends cleanly."""
        with suppress(TimeoutError, UpstreamBroken, UpstreamTimeout):
            async with asyncio.timeout(END_SECONDS_MAX):
                while await self.next():
                    pass

    async def read_beginning(self, bytes_max: int = REFUSAL_BYTES_MAX) -> bytes:
        """So much of the body, or all of it if it is shorter; what cannot be had is left out."""
        beginning = b""
        with suppress(UpstreamBroken, UpstreamTimeout):
            while len(beginning) < bytes_max and (piece := await self.next()):
                beginning += piece
        return beginning

    async def read(self, bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
        """The whole body."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.next():
            pieces.append(piece)
            size += len(piece)
            if size > bytes_max:
                raise UpstreamBroken("The provider's answer is too large.")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Client:
    """Sends requests to providers over kept connections. Belongs to one event loop."""

    def __init__(self, timeouts: Timeouts, user_agent: str) -> None:
        self.timeouts = timeouts
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(
                total=timeouts.total,
                # With the wait for a name and for a place among the connections.
                connect=2 * timeouts.connect,
                sock_connect=timeouts.connect,
                sock_read=timeouts.first_byte,
            ),
            headers={"user-agent": user_agent, "accept-encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self.session.close()

    def send(self, request: UpstreamRequest, *, attempt_id: str) -> "Exchange":
        """To be entered: `async with client.send(…) as response`."""
        return Exchange(self, request, attempt_id)


class Exchange:
    """One request under way. Leaving it ends the upstream call, finished or not."""

    def __init__(self, client: Client, request: UpstreamRequest, attempt_id: str) -> None:
        self._client = client
        self._request = request
        self._attempt_id = attempt_id
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> UpstreamResponse:
        request = self._request
        if request.url.startswith(echo.SCHEME):
            return _echoed(request)
        # The attempt's id lets a provider's bill be matched line by line with the ledger.
        headers = {**request.headers, "x-runestone-attempt-id": self._attempt_id}
        try:
            response = await self._client.session.post(
                request.url, data=request.body, headers=headers, allow_redirects=False
            )
        except Exception as error:  # noqa: BLE001 -- sorted into ours, or raised again
            _raise_as_ours(error)
        self._response = response
        if response.connection is not None and response.connection.protocol is not None:
            # Thinking may take minutes; once the answer flows, silence means trouble sooner.
            response.connection.protocol.read_timeout = self._client.timeouts.idle
            # The timer that runs still counts the first byte's bound.
            response.connection.protocol.start_timeout()
        return UpstreamResponse(response.status, response.headers, response.content)

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            # A body read to its end has given its connection back; any other must be cut.
            self._response.close()


def _raise_as_ours(error: Exception) -> NoReturn:
    match error:
        case aiohttp.ServerTimeoutError() | TimeoutError():
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise UpstreamUnreachable("The provider could not be reached in time.") from error
            raise UpstreamTimeout("The provider did not begin to answer in time.") from error
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            raise UpstreamUnreachable("The provider could not be reached.") from error
        case aiohttp.ClientError() | ConnectionError():
            raise UpstreamBroken("The provider closed the connection unanswered.") from error
        case _:
            raise error


def _echoed(request: UpstreamRequest) -> UpstreamResponse:
    streams = b'"stream":true' in request.body
    kind = "text/event-stream" if streams else "application/json"
    return UpstreamResponse(200, {"content-type": kind}, _EchoBody(echo.respond(request)))


class _EchoBody:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def readany(self) -> bytes:
        return next(self._pieces, b"")
