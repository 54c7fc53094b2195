"""A gateway of its own, whose Redis and whose only provider go away; and a caller that does."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import openai
import pytest

from api.gateway import Gateway
from api.requests import Call
from billing.models import Price
from providers.models import Model, Route, Upstream
from runestone.local.mock_provider.process import MockProvider
from runestone.local.throwaway import ThrowawayServers, wait_ready
from tests.cast import Account, wait_until_served
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

CACHED = {"x-runestone-cache": "60"}
# A look that is waited for in vain, and a call, on a machine with other work.
CALL_SECONDS_MAX = 1.5


@pytest.fixture(scope="module")
def valkey() -> Iterator[ThrowawayServers]:
    servers = ThrowawayServers()
    servers.start(postgres=False)
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def gateway(live_database_url: str, valkey: ThrowawayServers) -> Iterator[GatewayProcess]:
    options = {
        "REDIS_URL": valkey.redis_url,
        "RUNESTONE_BREAKERS_ENABLED": "true",
        "RUNESTONE_CACHE_LOOK_SECONDS_MAX": "0.5",
    }
    with GatewayProcess(live_database_url, **options) as running:
        yield running


@pytest.fixture
def text() -> str:
    return f"The quick brown fox {uuid4().hex}"


def ask(client: openai.OpenAI, text: str, **options: Any) -> str | None:
    """What the header says of the cache, once the answer is read to its end."""
    raw = client.chat.completions.with_raw_response.create(
        **{
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": text}],
            "extra_headers": CACHED,
            **options,
        }
    )
    answer: Any = raw.parse()
    assert list(answer)
    return raw.headers.get("x-runestone-cache")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_it_needs_no_provider(client: openai.OpenAI, acme: Account, text: str, stream: bool):
    name = f"away-{uuid4().hex[:12]}"
    with MockProvider() as vendor:
        upstream = Upstream.objects.create(
            slug=name, name=name, dialect="openai", base_url=vendor.url
        )
        model = Model.objects.create(name=name)
        for price in Price.objects.filter(upstream="mock", model="gpt-4o-mini"):
            price.pk, price.upstream, price.model = None, name, name
            price.save()
        Route.objects.create(model=model, upstream=upstream, upstream_model="gpt-4o-mini")
        wait_until_served(client, name)
        assert ask(client, text, model=name, stream=stream) == "miss"
    # Until its breaker is open.
    for _ in range(10):
        with pytest.raises(openai.APIError) as caught:
            ask(client, text, model=name, extra_headers={})
    assert caught.value.code == "upstream_unavailable"
    assert ask(client, text, model=name, stream=stream) == "hit"
    assert acme.settled()[-1].kind == "cached"


def test_without_redis_every_call_is_made(
    client: openai.OpenAI, acme: Account, valkey: ThrowawayServers, text: str
):
    assert [ask(client, text) for _ in range(2)] == ["miss", "hit"]
    for how, undo in ((signal.SIGSTOP, resume), (signal.SIGKILL, restart)):
        os.kill(valkey.valkey.process.pid, how)
        try:
            for _ in range(5):
                began = time.monotonic()
                assert ask(client, text) == "miss"
                assert time.monotonic() - began < CALL_SECONDS_MAX
        finally:
            undo(valkey)
        deadline = time.monotonic() + 10
        while ask(client, text) != "hit":
            assert time.monotonic() < deadline, "it does not come back"
    assert {line.kind for line in acme.settled()} == {"charge", "cached"}


def resume(servers: ThrowawayServers) -> None:
    os.kill(servers.valkey.process.pid, signal.SIGCONT)


def restart(servers: ThrowawayServers) -> None:
    servers.valkey.stop()
    servers.valkey.start()
    wait_ready(servers.valkey)


@pytest.mark.parametrize("how", ["aclose", "cancel"])
def test_a_caller_that_leaves_in_the_middle_of_a_replay(
    scenario: Scenario, acme: Account, settings: Any, text: str, how: str
):
    """Its line is settled, as a cached one that was not read to its end."""
    message = {"role": "user", "content": text}
    settings.RUNESTONE_CACHE_LOOK_SECONDS_MAX = 5
    model = scenario("chunks=5;gap=0.02")
    body = msgspec.json.encode({"model": model, "stream": True, "messages": [message]})

    def call() -> Call:
        headers = {"content-type": "application/json", "authorization": f"Bearer {acme.key}"}
        return Call(headers | CACHED, body)

    async def calls() -> None:
        runestone = Gateway()
        await runestone.start()
        pieces = [piece async for piece in runestone.pipeline.stream(call())]
        assert len(pieces) > 2
        replay = runestone.pipeline.stream(call())
        own = await anext(replay)
        assert own.startswith(b"data: {")
        if how == "aclose":
            await replay.aclose()
        else:
            rest = asyncio.create_task(anext(replay))
            await asyncio.sleep(0)
            rest.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rest
        await asyncio.wait_for(runestone.stop(), 10)

    asyncio.run(calls())
    cached = acme.lines(2)[1]
    assert (cached.kind, cached.status, cached.error) == ("cached", 499, "client_closed_request")
    assert (cached.amount_pico, acme.window().pending_pico) == (0, 0)
