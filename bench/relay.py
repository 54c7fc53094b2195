"""The floor: what passing a call on costs with the same server and the same client, and no more.

It reads the body, posts it to UPSTREAM_URL over aiohttp, and passes the answer on as it comes. It
knows no keys, no models, no money and no errors; a gateway of this design cannot be faster.
"""

import os
from typing import Any

import aiohttp

UPSTREAM_URL = os.environ.get("UPSTREAM_URL", "")
CONNECTIONS_MAX = 4_096

_JSON = {"content-type": "application/json"}
_session: aiohttp.ClientSession | None = None


def _client() -> aiohttp.ClientSession:
    global _session
    if _session is None:
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
    return _session


async def application(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    response = await _client().post(f"{UPSTREAM_URL}/chat/completions", data=body, headers=_JSON)
    kind = response.headers["content-type"].encode()
    if kind.startswith(b"text/event-stream"):
        await _begin(send, response.status, [(b"content-type", kind)])
        async for chunk in response.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        answer = await response.read()
        length = str(len(answer)).encode()
        await _begin(send, response.status, [(b"content-type", kind), (b"content-length", length)])
        await send({"type": "http.response.body", "body": answer})
    response.release()


async def _begin(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
