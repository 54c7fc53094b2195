"""The client against real sockets: the mock provider, and servers that behave worse than it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import msgspec
import pytest

from providers.client import Client
from providers.dialects.base import UpstreamRequest
from runestone.lib.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from runestone.lib.sse import Reader
from runestone.local.mock_provider.process import MockProvider
from tests.providers.servers import (
    HEAD,
    SOON,
    client_with,
    http_chunk,
    pieces_of,
    post,
    serving,
)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with client_with() as made:
        yield made


@pytest.fixture(scope="module")
def provider() -> Iterator[MockProvider]:
    """A provider of this file's own: whatever the gateway's is billed, must be in the ledger."""
    with MockProvider() as running:
        yield running


@pytest.fixture
def to_mock(provider):
    """to_mock("cut=2", stream=True): a request that the mock provider answers in that way."""

    def made(scenario="", **fields):
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "one two three four"}],
            **fields,
        }
        headers = {"content-type": "application/json", "x-mock-scenario": scenario}
        url = f"{provider.url}/chat/completions"
        return UpstreamRequest(url, headers, msgspec.json.encode(body))

    return made


async def test_it_works(client, to_mock, provider):
    attempt = str(uuid4())
    async with client.send(to_mock(), attempt_id=attempt) as response:
        assert response.status == 200
        assert not response.is_of("text/event-stream")
        assert response.headers["x-request-id"].startswith("req_")
        answer = msgspec.json.decode(await response.read())
    assert answer["choices"][0]["message"]["content"] == "one two three four"
    # The provider's bill names the attempt.
    [line] = provider.bill(attempt)
    assert line["finished"]


async def test_it_streams_as_it_comes(client, to_mock):
    reader, events, moments = Reader(), [], []
    request = to_mock("gap=0.1", stream=True)
    async with client.send(request, attempt_id="a") as response:
        assert response.is_of("text/event-stream")
        async for chunk in pieces_of(response):
            events += reader.feed(chunk)
            moments.append(time.monotonic())
    assert events[-1].data == b"[DONE]"
    assert moments[-1] - moments[0] > 0.2
    assert len(moments) >= 4


async def test_a_request_says_who_asks_and_nothing_else():
    async def respond(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\r\n{}")

    async with serving(respond) as server, client_with() as client:
        for _ in range(2):
            async with client.send(post(server.url), attempt_id="attempt-1") as response:
                await response.read()
    for request in server.requests:
        head = request.partition(b"\r\n\r\n")[0].decode().lower()
        assert "user-agent: runestone/test" in head
        assert "x-runestone-attempt-id: attempt-1" in head
        assert "accept-encoding: identity" in head
        assert "cookie" not in head


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_a_refusal_is_a_response(client, to_mock, status):
    async with client.send(to_mock(f"error={status}"), attempt_id="a") as response:
        assert response.status == status
        assert b'"error"' in await response.read()


async def test_a_redirect_is_not_followed(client):
    """Or a provider could have our credential sent elsewhere."""

    async def respond(_, writer):
        writer.write(
            b"HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        )

    async with serving(respond) as server:
        async with client.send(post(server.url), attempt_id="a") as response:
            assert response.status == 307
    assert len(server.requests) == 1


# Nobody there.


async def test_a_closed_port_is_unreachable(client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(UpstreamUnreachable) as caught:
        async with client.send(post(url), attempt_id="a"):
            pass
    assert (caught.value.status, caught.value.billable) == (503, False)
    assert url not in caught.value.message


async def test_an_unknown_host_is_unreachable(client):
    with pytest.raises(UpstreamUnreachable):
        async with client.send(post("http://no-such-host.invalid/v1"), attempt_id="a"):
            pass


async def test_an_unusable_url_is_unreachable(client):
    with pytest.raises(UpstreamUnreachable):
        async with client.send(post("http:///v1"), attempt_id="a"):
            pass


async def test_connecting_has_a_bound():
    # A full queue of connections that nobody accepts: the next one waits.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
            waiting.append(one)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        started = time.monotonic()
        async with client_with(connect=0.2) as client:
            with pytest.raises(UpstreamUnreachable):
                async with client.send(post(url), attempt_id="a"):
                    pass
        assert time.monotonic() - started < SOON
        for one in waiting:
            one.close()


# Too slow.


async def test_the_first_byte_has_a_bound(to_mock):
    started = time.monotonic()
    async with client_with(first_byte=0.2) as client:
        with pytest.raises(UpstreamTimeout) as caught:
            async with client.send(to_mock("slow_headers=5"), attempt_id="a"):
                pass
    assert time.monotonic() - started < SOON
    assert (caught.value.status, caught.value.billable) == (504, True)


async def test_slow_headers_within_the_bound_are_waited_for(client, to_mock):
    async with client.send(to_mock("slow_headers=0.3"), attempt_id="a") as response:
        assert response.status == 200


async def test_the_whole_call_has_a_bound():
    async def respond(_, writer):
        writer.write(HEAD)
        while True:
            writer.write(http_chunk(b": still here\n\n"))
            await writer.drain()
            await asyncio.sleep(0.05)

    started = time.monotonic()
    async with serving(respond) as server, client_with(total=0.4) as client:
        with pytest.raises(UpstreamTimeout):
            async with client.send(post(server.url), attempt_id="a") as response:
                await response.read()
    assert time.monotonic() - started < SOON


# Cut off.


@pytest.mark.parametrize("scenario", ["cut=2", "cut=2;fin", "cut=0"])
async def test_a_cut_answer_is_broken(client, to_mock, scenario):
    received = b""
    with pytest.raises(UpstreamBroken) as caught:
        async with client.send(to_mock(scenario, stream=True), attempt_id="a") as response:
            async for chunk in pieces_of(response):
                received += chunk
    assert caught.value.billable
    assert b"[DONE]" not in received


async def test_a_provider_that_hangs_up_unanswered_is_broken(client, to_mock):
    with pytest.raises(UpstreamBroken) as caught:
        async with client.send(to_mock("drop"), attempt_id="a"):
            pass
    assert (caught.value.status, caught.value.billable) == (502, True)


async def test_a_reset_before_the_answer_is_broken(client):
    async def respond(_, writer):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        writer.transport.abort()

    async with serving(respond) as server:
        with pytest.raises(UpstreamBroken):
            async with client.send(post(server.url), attempt_id="a"):
                pass


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"\0" * 100 + b"\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
async def test_what_is_not_http_is_broken(client, answer):
    async def respond(_, writer):
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with serving(respond) as server:
        with pytest.raises(UpstreamBroken):
            async with client.send(post(server.url), attempt_id="a"):
                pass


async def test_chunks_that_make_no_sense_are_broken(client):
    async def respond(_, writer):
        writer.write(HEAD + b"zz\r\nhello\r\n")

    async with serving(respond) as server:
        with pytest.raises(UpstreamBroken):
            async with client.send(post(server.url), attempt_id="a") as response:
                await response.read()


async def test_a_flood_is_broken(client, to_mock):
    async with client.send(to_mock("huge=3000000"), attempt_id="a") as response:
        with pytest.raises(UpstreamBroken, match="too large"):
            await response.read(bytes_max=1_000_000)


# Connections.


async def test_a_finished_answer_gives_its_connection_back(client):
    async def respond(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    async with serving(respond) as server:
        for _ in range(3):
            async with client.send(post(server.url), attempt_id="a") as response:
                assert await response.read() == b"{}"
        assert (server.connections, len(server.requests)) == (1, 3)


async def test_an_answer_left_early_is_cut(client):
    async def respond(_, writer):
        writer.write(HEAD)
        while True:
            writer.write(http_chunk(b"data: more\n\n"))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(respond) as server:
        async with client.send(post(server.url), attempt_id="a") as response:
            assert await response.next()
        await asyncio.wait_for(server.hung_up.wait(), SOON)


async def test_a_cancelled_call_is_cut(client):
    async def respond(_, writer):
        writer.write(HEAD)
        while True:
            writer.write(http_chunk(b"data: more\n\n"))
            await writer.drain()
            await asyncio.sleep(0.01)

    async def call(url):
        async with client.send(post(url), attempt_id="a") as response:
            await response.read()

    async with serving(respond) as server:
        calling = asyncio.ensure_future(call(server.url))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        calling.cancel()
        await asyncio.wait([calling])
        assert calling.cancelled()
        await asyncio.wait_for(server.hung_up.wait(), SOON)


async def test_a_complete_stream_gives_its_connection_back(client):
    """`[DONE]` is not the end of the body: what follows must be read before the next call."""

    async def respond(_, writer):
        writer.write(HEAD + http_chunk(b"data: [DONE]\n\n"))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(http_chunk(b""))

    async with serving(respond) as server:
        for _ in range(3):
            async with client.send(post(server.url), attempt_id="a") as response:
                assert await response.next()
                await response.give_back()
        assert (server.connections, len(server.requests)) == (1, 3)


async def test_giving_back_does_not_wait_for_ever(client):
    async def respond(reader, writer):
        writer.write(HEAD + http_chunk(b"data: [DONE]\n\n"))
        await writer.drain()
        await reader.read()

    started = time.monotonic()
    async with serving(respond) as server:
        async with client.send(post(server.url), attempt_id="a") as response:
            assert await response.next()
            await response.give_back()
        await asyncio.wait_for(server.hung_up.wait(), SOON)
    assert time.monotonic() - started < SOON


async def test_the_echo_needs_no_socket(client):
    body = b'{"messages":[{"role":"user","content":"one two"}],"stream":true}'
    request = UpstreamRequest("echo:///chat/completions", {}, body)
    async with client.send(request, attempt_id="a") as response:
        assert response.is_of("text/event-stream")
        assert b"[DONE]" in await response.read()
