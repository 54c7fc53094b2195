"""GET /health/providers over a real gateway, and what it makes of what it finds."""

import asyncio
import time
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from django.conf import settings

from api.health import providers_report
from providers.board import Board, Figures, News, Probe
from providers.breaker import FAILURES_MAX, OPEN_SECONDS_MIN
from providers.breakers import Breakers
from providers.health import Health
from providers.models import Upstream
from runestone.lib.redis import connect
from tests.cast import add_mock_model
from tests.gateway_process import GatewayProcess
from tests.providers.calls import model, target

SECONDS_MAX = 10.0
HOST, KEY = "secret-host.invalid", "sk-secret-key"


@pytest.fixture
def vendor(live):
    """The slug of a provider of this test's own, which a model is routed to."""
    slug = f"vendor-{uuid4().hex[:12]}"
    upstream = Upstream.objects.create(
        slug=slug, name="Vendor", dialect="openai", base_url=f"http://{HOST}/v1"
    )
    upstream.add_credential(KEY)
    add_mock_model(f"model-of-{slug}", "theirs", upstream=upstream)
    yield slug
    upstream.delete()


def told_of(gateway, slug, wanted):
    """What it says of a provider, once that is as it is wanted."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        answer = httpx.get(f"{gateway.root}/health/providers")
        provider = answer.json()["providers"].get(slug)
        if provider is not None and wanted(provider):
            assert HOST not in answer.text
            assert KEY not in answer.text
            return answer, provider
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)


def test_it_works(gateway, vendor):
    answer, provider = told_of(gateway, vendor, lambda provider: True)
    assert answer.status_code == 200
    assert provider == {
        "state": "closed", "open_for_seconds": 0.0, "up": None, "probed": None, "problem": None,
        "calls": 0, "error_rate": None, "latency_ms": None,
    }  # fmt: skip
    assert {"mock", "echo"} < set(answer.json()["providers"])


def test_it_sees_what_other_processes_see(gateway, vendor):
    async def elsewhere():
        async with connect(settings.REDIS_URL) as redis:
            breakers, health = Breakers(redis), Health(redis)
            for number in range(FAILURES_MAX):
                breakers.failed(vendor, breakers.begin(vendor))
                seconds = 0.25 if number == 0 else None
                health.observe(vendor, "small", first_byte_seconds=seconds, ok=number == 0)
            await Board(redis).post_probes(
                {vendor: Probe(up=False, at=1_795_000_000.5, problem="it fails (HTTP 503)")}
            )
            await breakers.start()
            await health.start()
            found = await asyncio.to_thread(
                told_of,
                gateway,
                vendor,
                lambda provider: provider["state"] == "open" and provider["calls"],
            )
            await health.stop()
            await breakers.stop()
            await redis.delete("runestone:{upstreams}:probes")
            return found

    answer, provider = asyncio.run(elsewhere())
    assert answer.json()["status"] == "degraded"
    assert answer.status_code == 200
    assert 0 < provider.pop("open_for_seconds") <= OPEN_SECONDS_MIN
    assert provider == {
        "state": "open", "up": False, "probed": "2026-11-18T11:06:40+00:00",
        "problem": "it fails (HTTP 503)", "calls": FAILURES_MAX,
        "error_rate": 1 - 1 / FAILURES_MAX, "latency_ms": 250.0,
    }  # fmt: skip


def test_without_redis_it_tells_its_own(live):
    with GatewayProcess(live, REDIS_URL="redis://127.0.0.1:1") as alone:
        began = time.monotonic()
        answer = httpx.get(f"{alone.root}/health/providers")
        assert time.monotonic() - began < 3.0
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert "breakers are not shared" in alone.log


# What it makes of it.


@pytest.fixture
def running():
    """A gateway of two providers, whose Redis is not there."""
    nowhere = connect("redis://127.0.0.1:1")
    targets = [target(upstream="one"), target(upstream="two")]
    return SimpleNamespace(
        breakers=Breakers(nowhere),
        health=Health(nowhere),
        catalog=SimpleNamespace(models=lambda: [model(*targets), model(targets[0])]),
    )


def trip(running, slug):
    for _ in range(FAILURES_MAX):
        running.breakers.failed(slug)


async def status(running):
    return (await providers_report(running))["status"]


async def test_all_is_well(running):
    report = await providers_report(running)
    assert report["status"] == "ok"
    assert list(report["providers"]) == ["one", "two"]


async def test_one_of_two_that_is_open_is_a_degraded_service(running):
    trip(running, "one")
    assert await status(running) == "degraded"


async def test_with_all_of_them_open_there_is_no_service(running):
    trip(running, "one")
    trip(running, "two")
    assert await status(running) == "unavailable"


async def test_one_that_may_be_tried_is_no_outage(running):
    trip(running, "one")
    trip(running, "two")
    running.breakers._breaker("one").probe_succeeded()
    assert await status(running) == "degraded"


@pytest.mark.parametrize(
    "probe",
    [
        Probe(up=False, at=0.0, problem="it cannot be reached", failures=1),
        Probe(up=True, at=0.0, problem="it rejects our credential (HTTP 401)"),
    ],
    ids=["down", "rejected"],
)
async def test_a_probe_that_found_something_wrong_shows(running, probe):
    running.breakers._take_in(News(verdicts={}, probes={"one": probe}, trials=set()))
    running.breakers._is_shared = True
    assert await status(running) == "degraded"


async def test_a_gateway_without_providers_is_not_out_of_order(running):
    running.catalog.models = list
    assert await providers_report(running) == {"status": "ok", "providers": {}}


async def test_figures_are_of_the_traffic(running):
    for ok in (True, True, False):
        running.health.observe("two", "small", first_byte_seconds=0.1, ok=ok)
    assert (await running.health.figures_of_all())["two"] == Figures(3, 1, 3, pytest.approx(0.3))
    told = (await providers_report(running))["providers"]["two"]
    assert (told["calls"], told["error_rate"], told["latency_ms"]) == (3, 0.3333, 100.0)
