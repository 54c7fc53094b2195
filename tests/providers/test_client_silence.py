"""A provider that falls silent in the middle of its answer."""

import asyncio
import time

import pytest

from runestone.lib.errors import UpstreamTimeout
from tests.providers.servers import HEAD, SOON, client_with, http_chunk, post, serving


async def test_it_works():
    async def respond(_, writer):
        writer.write(HEAD + http_chunk(b"data: 1\n\n") + http_chunk(b""))

    async with serving(respond) as server, client_with(idle=0.2) as client:
        async with client.send(post(server.url), attempt_id="a") as response:
            assert await response.read() == b"data: 1\n\n"


@pytest.mark.parametrize("sent_first", [b"", http_chunk(b"data: 1\n\n")], ids=["head", "chunk"])
async def test_silence_within_an_answer_has_a_bound(sent_first):
    async def respond(reader, writer):
        writer.write(HEAD + sent_first)
        await writer.drain()
        await reader.read()

    started = time.monotonic()
    async with serving(respond) as server, client_with(idle=0.2) as client:
        with pytest.raises(UpstreamTimeout, match="stopped sending"):
            async with client.send(post(server.url), attempt_id="a") as response:
                await response.read()
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize("sent_first", [b"", http_chunk(b"1")], ids=["head", "chunk"])
async def test_silence_shorter_than_its_bound_is_waited_for(sent_first):
    """Even if it is longer than the first byte may take."""

    async def respond(_, writer):
        writer.write(HEAD + sent_first)
        await writer.drain()
        await asyncio.sleep(0.6)
        writer.write(http_chunk(b"2") + http_chunk(b""))

    async with serving(respond) as server, client_with(first_byte=0.3) as client:
        async with client.send(post(server.url), attempt_id="a") as response:
            assert (await response.read()).endswith(b"2")
