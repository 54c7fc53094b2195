"""The breakers of several processes, which tell one another over a real Valkey, or cannot."""

import asyncio
import os
import signal
import socket
import time
from uuid import uuid4

import pytest
from django.conf import settings

from providers import breakers as breakers_module
from providers.board import TRIAL_SECONDS, Board, Probe
from providers.breaker import FAILURES_MAX, OPEN_SECONDS_MIN, SUCCESSES_MIN, TRIALS_MAX
from providers.breakers import POLL_SECONDS, PROBE_FAILURES_MAX, Breakers, BreakerState
from runestone.lib.redis import connect
from runestone.local.throwaway import ThrowawayServers, wait_ready

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
SECONDS_MAX = 5.0
# What the others are promised, and what a machine with other work may take on top of it.
NOTICE_SECONDS_MAX = POLL_SECONDS + 1.5


@pytest.fixture
def upstream():
    """One of this test's own: the Valkey is everybody's."""
    return f"vendor-{uuid4().hex}"


@pytest.fixture
async def redis():
    client = connect(settings.REDIS_URL)
    yield client
    await client.aclose()


class Processes:
    """Starts Breakers as if each were in a process of its own."""

    def __init__(self):
        self.started = []

    async def __call__(self, url=settings.REDIS_URL, clock=time.monotonic):
        client = connect(url)
        made = Breakers(client, clock)
        await made.start()
        self.started.append((made, client))
        return made

    async def stop(self):
        for made, client in self.started:
            await made.stop()
            await client.aclose()


@pytest.fixture
async def process():
    processes = Processes()
    yield processes
    await processes.stop()


async def until(condition, seconds_max=SECONDS_MAX):
    """Waits for it, and gives the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds_max, "it did not come true"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def fail(breakers, upstream, times=FAILURES_MAX):
    for _ in range(times):
        breakers.failed(upstream, breakers.begin(upstream))


def recover(breakers, upstream):
    for _ in range(SUCCESSES_MIN):
        breakers.succeeded(upstream, breakers.begin(upstream))


class Ahead:
    """A clock that can be put forward."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return time.monotonic() + self.seconds


async def test_it_works(process, upstream):
    ours, theirs = await process(), await process()
    assert ours.permits(upstream)
    fail(ours, upstream)
    assert ours.state(upstream) is OPEN
    assert not ours.permits(upstream)
    assert ours.begin(upstream) == 0
    assert 0 < ours.seconds_until_trial(upstream) <= OPEN_SECONDS_MIN
    await until(lambda: not theirs.permits(upstream), NOTICE_SECONDS_MAX)
    assert theirs.state(upstream) is OPEN
    assert theirs.seconds_until_trial(upstream) == pytest.approx(
        ours.seconds_until_trial(upstream), abs=NOTICE_SECONDS_MAX
    )
    assert theirs.permits(f"{upstream}-other")


async def test_an_upstream_that_nobody_called_is_closed(process, upstream):
    ours = await process()
    assert (ours.state(upstream), ours.seconds_until_trial(upstream)) == (CLOSED, 0.0)
    assert ours.probe(upstream) is None


async def test_who_comes_later_learns_of_it(process, upstream):
    ours = await process()
    fail(ours, upstream)
    await until(lambda: not ours._untold)
    theirs = await process()
    await until(lambda: theirs.state(upstream) is OPEN, NOTICE_SECONDS_MAX)


async def test_one_process_tries_and_closes_it_for_all(process, upstream):
    """All clocks are put forward together, to the end of the time that it is open."""
    ahead = Ahead()
    everybody = [await process(clock=ahead) for _ in range(4)]
    await until(lambda: all(each._is_shared for each in everybody))
    fail(everybody[0], upstream)
    await until(lambda: all(each.state(upstream) is OPEN for each in everybody))
    ahead.seconds = OPEN_SECONDS_MIN
    await until(lambda: any(each.permits(upstream) for each in everybody))
    turns = {each: [each.begin(upstream) for _ in range(TRIALS_MAX + 1)] for each in everybody}
    [trying] = [each for each in everybody if any(turns[each])]
    assert sum(map(bool, turns[trying])) == TRIALS_MAX
    # It keeps the right for as long as a trial is under way.
    await asyncio.sleep(TRIAL_SECONDS + 2 * POLL_SECONDS)
    assert not any(each.permits(upstream) for each in everybody if each is not trying)
    for turn in turns[trying][:SUCCESSES_MIN]:
        trying.succeeded(upstream, turn)
    assert trying.state(upstream) is CLOSED
    await until(lambda: all(each.permits(upstream) for each in everybody), NOTICE_SECONDS_MAX)


async def test_a_failed_trial_opens_it_for_all(process, upstream):
    ahead = Ahead()
    ours, theirs = await process(clock=ahead), await process(clock=ahead)
    fail(ours, upstream)
    await until(lambda: theirs.state(upstream) is OPEN)
    ahead.seconds = OPEN_SECONDS_MIN
    await until(lambda: ours.permits(upstream) or theirs.permits(upstream))
    [trying] = [each for each in (ours, theirs) if each.permits(upstream)]
    fail(trying, upstream, 1)
    await until(lambda: ours.state(upstream) is theirs.state(upstream) is OPEN)
    # The second time it is left alone for longer.
    for each in (ours, theirs):
        assert OPEN_SECONDS_MIN < each.seconds_until_trial(upstream) <= 2 * OPEN_SECONDS_MIN


async def test_a_right_that_is_not_used_goes_to_somebody_else(process, upstream, redis):
    ours = await process()
    await until(lambda: ours._is_shared)
    await redis.set(f"runestone:{{upstreams}}:trial:{upstream}", "idle", px=300)
    fail(ours, upstream)
    await until(lambda: not ours._untold)
    ours._breaker(upstream).probe_succeeded()
    assert ours.state(upstream) is HALF_OPEN
    assert not ours.permits(upstream)
    assert ours.begin(upstream) == 0
    await until(lambda: ours.permits(upstream))


async def test_a_good_probe_lets_it_be_tried(process, upstream, redis):
    ours, theirs = await process(), await process()
    fail(ours, upstream)
    await until(lambda: theirs.state(upstream) is OPEN)
    await Board(redis).post_probes({upstream: Probe(up=True, at=time.time())})
    await until(
        lambda: ours.state(upstream) is theirs.state(upstream) is HALF_OPEN, NOTICE_SECONDS_MAX
    )
    assert ours.probe(upstream).up


async def test_a_probe_whose_key_was_rejected_lets_nothing_be_tried(process, upstream, redis):
    ours = await process()
    fail(ours, upstream)
    rejected = Probe(up=True, at=time.time(), problem="the credential is rejected")
    await Board(redis).post_probes({upstream: rejected})
    await until(lambda: ours.probe(upstream) == rejected)
    assert ours.state(upstream) is OPEN


async def test_only_probes_that_fail_in_a_row_open_it(process, upstream, redis):
    ours = await process()
    for failures in range(1, PROBE_FAILURES_MAX):
        probe = Probe(up=False, at=time.time(), failures=failures)
        await Board(redis).post_probes({upstream: probe})
        await until(lambda probe=probe: ours.probe(upstream) == probe)
        assert ours.permits(upstream)
    probe = Probe(up=False, at=time.time(), failures=PROBE_FAILURES_MAX)
    await Board(redis).post_probes({upstream: probe})
    await until(lambda: ours.state(upstream) is OPEN)


async def test_entries_that_nobody_can_read_are_passed_over(process, upstream, redis):
    broken = f"{upstream}-broken"
    for name in ("verdicts", "probes"):
        await redis.hset(f"runestone:{{upstreams}}:{name}", broken, '{"by": 1')
    ours, theirs = await process(), await process()
    fail(ours, upstream)
    await until(lambda: theirs.state(upstream) is OPEN)
    assert theirs.state(broken) is CLOSED
    for name in ("verdicts", "probes"):
        await redis.hdel(f"runestone:{{upstreams}}:{name}", broken)


async def test_all_that_is_posted_expires(process, upstream, redis):
    ours = await process()
    await until(lambda: ours._is_shared)
    fail(ours, upstream)
    await until(lambda: not ours._untold)
    ours._breaker(upstream).probe_succeeded()
    await until(lambda: ours.permits(upstream))
    for name in ("verdicts", f"trial:{upstream}"):
        assert await redis.pttl(f"runestone:{{upstreams}}:{name}") > 0


# Without Redis.


def dead_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lives_alone(ours, upstream, ahead):
    """All that a breaker does, done at once and without anybody else."""
    began = time.monotonic()
    fail(ours, upstream)
    assert ours.state(upstream) is OPEN
    ahead.seconds += ours.seconds_until_trial(upstream)
    assert [bool(ours.begin(upstream)) for _ in range(TRIALS_MAX + 1)] == [True] * TRIALS_MAX + [
        False
    ]
    for _ in range(TRIALS_MAX):
        ours.abandoned(upstream)
    recover(ours, upstream)
    assert ours.permits(upstream)
    assert time.monotonic() - began < 0.1


async def test_without_redis_each_goes_by_its_own(process, upstream):
    ahead = Ahead()
    began = time.monotonic()
    ours = await process(f"redis://127.0.0.1:{dead_port()}", ahead)
    assert time.monotonic() - began < 0.5, "nobody waits for Redis at the start"
    lives_alone(ours, upstream, ahead)


async def test_a_redis_that_does_not_answer_holds_nobody_up(process, upstream):
    async def listen_only(reader, writer):
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen_only, "127.0.0.1", 0)
    ahead = Ahead()
    port = silent.sockets[0].getsockname()[1]
    ours = await process(f"redis://127.0.0.1:{port}", ahead)
    lives_alone(ours, upstream, ahead)
    silent.close()


@pytest.fixture
def own_valkey():
    servers = ThrowawayServers()
    servers.start(postgres=False)
    yield servers
    servers.stop()


async def test_redis_may_go_and_come_back(process, upstream, own_valkey, monkeypatch, caplog):
    monkeypatch.setattr(breakers_module, "POLL_SECONDS", 0.05)
    ahead = Ahead()
    url = own_valkey.redis_url
    ours, theirs = await process(url, ahead), await process(url, ahead)
    async with connect(url) as redis:
        await Board(redis).post_probes({upstream: Probe(up=True, at=time.time())})
    await until(lambda: ours.probe(upstream) and theirs.probe(upstream))
    os.kill(own_valkey.valkey.process.pid, signal.SIGKILL)
    await until(lambda: not (ours._is_shared or theirs._is_shared))
    assert ours.probe(upstream) is None, "it grows old, and nobody probes"
    lives_alone(ours, upstream, ahead)
    fail(ours, upstream)
    assert theirs.permits(upstream)
    own_valkey.valkey.stop()
    own_valkey.valkey.start()
    wait_ready(own_valkey.valkey)
    # What could not be told is told now.
    await until(lambda: not theirs.permits(upstream))
    told = [each for each in caplog.messages if "breakers are not shared" in each]
    assert len(told) == 4, "each process tells once that Redis is gone, and once that it is back"


async def test_who_has_no_calls_does_not_keep_others_from_trying(process, upstream):
    """However many idle processes there are, and whenever they look."""
    ahead = Ahead()
    busy, *idle = [await process(clock=ahead) for _ in range(6)]
    everybody = (busy, *idle)
    await until(lambda: all(each._is_shared for each in everybody))
    fail(idle[0], upstream)
    await until(lambda: all(each.state(upstream) is OPEN for each in everybody))
    ahead.seconds = OPEN_SECONDS_MIN + 1
    # Long enough for each of them to have taken the right, had it wanted to.
    await asyncio.sleep(2 * POLL_SECONDS)
    assert await until(lambda: busy.permits(upstream), NOTICE_SECONDS_MAX) < NOTICE_SECONDS_MAX
    recover(busy, upstream)
    await until(lambda: all(each.state(upstream) is CLOSED for each in everybody))
