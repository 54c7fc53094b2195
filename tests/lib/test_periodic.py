"""Work in the background: again and again, sooner when woken, and whatever goes wrong."""

import asyncio
import logging
from contextlib import suppress

import pytest

from runestone.lib.periodic import Periodic

NEVER = 3_600.0


class Work:
    def __init__(self):
        self.count = 0
        self.failures = 0
        self.done = asyncio.Event()

    async def __call__(self):
        self.count += 1
        self.done.set()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("gone")

    async def times(self, count):
        async with asyncio.timeout(5):
            while self.count < count:
                self.done.clear()
                await self.done.wait()


@pytest.fixture
async def work():
    return Work()


@pytest.fixture
async def periodic(work):
    """periodic(seconds): started, and stopped after the test."""
    made = []

    def start(seconds):
        made.append(Periodic("the work", work, seconds))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        await each.stop()


async def test_it_works(work, periodic):
    periodic(0.001)
    await work.times(3)


async def test_it_can_be_woken(work, periodic):
    sleeping = periodic(NEVER)
    await work.times(1)
    sleeping.wake()
    await work.times(2)


async def test_what_it_is_woken_for_is_done_once(work, periodic):
    sleeping = periodic(NEVER)
    await work.times(1)
    sleeping.wake()
    sleeping.wake()
    await work.times(2)
    await asyncio.sleep(0.01)
    assert work.count == 2


async def test_to_be_woken_in_the_middle_of_work_counts(work):
    async def wakes_itself_once():
        if work.count == 0:
            sleeping.wake()
        await work()

    sleeping = Periodic("the work", wakes_itself_once, NEVER)
    sleeping.start()
    await work.times(2)
    await sleeping.stop()


async def test_it_outlives_failures_and_tells_of_them_once(work, periodic, caplog):
    work.failures = 3
    with caplog.at_level(logging.WARNING, "runestone.lib.periodic"):
        periodic(0.001)
        await work.times(6)
    assert caplog.messages == ["the work: ConnectionError: gone", "the work: works again"]


async def test_it_can_be_stopped_before_it_was_started(work):
    await Periodic("the work", work, NEVER).stop()
    assert work.count == 0


async def test_stopping_does_not_wait(work, periodic):
    sleeping = periodic(NEVER)
    await work.times(1)
    async with asyncio.timeout(1):
        await sleeping.stop()


async def test_it_stops_even_if_the_work_loses_the_cancellation():
    """As `asyncio.wait_for` does in Python 3.11, when what it waits for ends in that moment."""
    begun = asyncio.Event()

    async def careless():
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(NEVER)

    periodic = Periodic("the work", careless, NEVER)
    periodic.start()
    await begun.wait()
    async with asyncio.timeout(1):
        await periodic.stop()
