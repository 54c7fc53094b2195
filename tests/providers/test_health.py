"""What traffic shows of the upstreams: in one process, and summed over several."""

import asyncio
from uuid import uuid4

import pytest
from django.conf import settings

from providers.board import FIGURES_SECONDS_MAX, Board, Figures
from providers.health import LATENCY_SECONDS_MAX, LATEST_WEIGHT, SLICE_SECONDS, SLICES, Health
from runestone.lib.redis import connect

NOWHERE = "redis://127.0.0.1:1"


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return Health(connect(NOWHERE), clock)


@pytest.fixture
def upstream():
    """One of this test's own: the Valkey is everybody's."""
    return f"vendor-{uuid4().hex}"


@pytest.fixture
async def redis():
    client = connect(settings.REDIS_URL)
    yield client
    await client.aclose()


def test_it_works(health):
    health.observe("vendor", "small", first_byte_seconds=0.25, ok=True)
    health.observe("vendor", "large", first_byte_seconds=0.75, ok=False)
    health.observe("vendor", "large", first_byte_seconds=None, ok=False)
    health.observe("other", "small", first_byte_seconds=1.0, ok=True)
    assert health.figures() == {"vendor": Figures(3, 2, 2, 1.0), "other": Figures(1, 0, 1, 1.0)}
    assert health.latency("vendor", "small") == 0.25


def test_the_latest_calls_weigh_most(health):
    for seconds in (1.0, 2.0):
        health.observe("vendor", "small", first_byte_seconds=seconds, ok=True)
    assert health.latency("vendor", "small") == 1.0 + LATEST_WEIGHT
    for _ in range(50):
        health.observe("vendor", "small", first_byte_seconds=3.0, ok=True)
    assert health.latency("vendor", "small") == pytest.approx(3.0, abs=0.01)


def test_failures_have_no_latency(health):
    """Or an upstream that refuses at once would be the fastest of all."""
    health.observe("vendor", "small", first_byte_seconds=0.001, ok=False)
    assert health.latency("vendor", "small") is None


def test_latencies_are_told_apart_by_route(health):
    health.observe("vendor", "small", first_byte_seconds=1.0, ok=True)
    assert health.latency("vendor", "large") is None
    assert health.latency("other", "small") is None


def test_an_old_latency_is_forgotten(health, clock):
    health.observe("vendor", "small", first_byte_seconds=1.0, ok=True)
    clock.now += LATENCY_SECONDS_MAX
    assert health.latency("vendor", "small") == 1.0
    clock.now += 1
    assert health.latency("vendor", "small") is None
    health.observe("vendor", "small", first_byte_seconds=5.0, ok=True)
    assert health.latency("vendor", "small") == 5.0


def test_only_the_last_minutes_count(health, clock):
    clock.now = 0.0
    for _ in range(3 * SLICES):
        health.observe("vendor", "small", first_byte_seconds=1.0, ok=True)
        clock.now += SLICE_SECONDS
    # The present slice is empty as yet.
    assert health.figures()["vendor"].calls == SLICES - 1
    clock.now += SLICE_SECONDS * (SLICES - 2)
    assert health.figures()["vendor"].calls == 1
    clock.now += SLICE_SECONDS
    assert health.figures()["vendor"] == Figures()


async def test_any_process_tells_what_all_see(redis, upstream):
    ours, theirs = Health(redis), Health(redis)
    ours.observe(upstream, "small", first_byte_seconds=1.0, ok=True)
    theirs.observe(upstream, "small", first_byte_seconds=2.0, ok=False)
    await ours.start()
    await theirs.start()
    async with asyncio.timeout(5):
        while (await ours.figures_of_all())[upstream].calls < 2:
            await asyncio.sleep(0.01)
    # What has happened since the last post counts in one's own telling.
    ours.observe(upstream, "small", first_byte_seconds=None, ok=False)
    assert (await ours.figures_of_all())[upstream] == Figures(3, 2, 2, 3.0)
    assert (await theirs.figures_of_all())[upstream] == Figures(2, 1, 2, 3.0)
    # So does somebody see it who serves no calls.
    assert (await Health(redis).figures_of_all())[upstream] == Figures(2, 1, 2, 3.0)
    await ours.stop()
    await theirs.stop()


async def test_a_process_that_is_gone_counts_no_more(redis, upstream):
    name = uuid4().hex
    await Board(redis, name).post_figures({upstream: Figures(calls=1)})
    key = f"runestone:{{upstreams}}:figures:{name}"
    assert 0 < await redis.ttl(key) <= FIGURES_SECONDS_MAX
    assert 0 < await redis.ttl("runestone:{upstreams}:processes") <= FIGURES_SECONDS_MAX
    assert (await Health(redis).figures_of_all())[upstream].calls == 1
    await redis.delete(key)
    assert upstream not in await Health(redis).figures_of_all()
    assert not await redis.sismember("runestone:{upstreams}:processes", name)


async def test_figures_of_another_version_are_passed_over(redis, upstream):
    name = uuid4().hex
    await Board(redis, name).post_figures({upstream: Figures(calls=1)})
    await redis.set(f"runestone:{{upstreams}}:figures:{name}", '{"vendor": "fine"}', ex=5)
    assert upstream not in await Health(redis).figures_of_all()


async def test_without_redis_one_tells_ones_own(health):
    health.observe("vendor", "small", first_byte_seconds=1.0, ok=True)
    assert await health.figures_of_all() == {"vendor": Figures(1, 0, 1, 1.0)}
