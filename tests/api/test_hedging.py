"""A race between two attempts, down to the moments in which a caller may leave it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from api.attempts import Attempts
from runestone.lib.errors import UpstreamBroken

# Neither is ever waited for: the second one begins at once, and wins when the test lets it.
AT_ONCE = 0.001


class Attempt:
    """Opens when it is let, and takes its time to end once it is cancelled."""

    def __init__(self) -> None:
        self.may_open, self.may_end = asyncio.Event(), asyncio.Event()
        self.is_ending = asyncio.Event()
        self.is_open = self.is_lost = False
        self.fails = False
        self.closed_with: list[BaseException | None] = []

    async def open(self) -> None:
        try:
            await self.may_open.wait()
        except asyncio.CancelledError:
            self.is_ending.set()
            await self.may_end.wait()
            raise
        if self.fails:
            raise UpstreamBroken("")
        self.is_open = True

    async def close(self, error: BaseException | None) -> None:
        self.closed_with.append(error)


class Race:
    """Two attempts at one call, of which the second begins before the first has opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow, self.fast = Attempt(), Attempt()
        runners = iter([self.slow, self.fast])
        decision = SimpleNamespace(candidates=["slow", "fast"])
        order: Any = SimpleNamespace(decision=decision, hedge_seconds=AT_ONCE)
        attempts = Attempts(SimpleNamespace(repetitions_max=0), order)  # type: ignore[arg-type]
        monkeypatch.setattr(attempts, "_next", lambda: next(runners))
        self.run = asyncio.create_task(attempts.open())


@pytest.fixture
async def race(monkeypatch: pytest.MonkeyPatch) -> Race:
    return Race(monkeypatch)


async def test_the_faster_one_wins_and_the_other_ends(race: Race):
    race.fast.may_open.set()
    race.slow.may_end.set()
    assert await race.run is race.fast
    assert race.slow.is_lost
    assert race.fast.closed_with == []


async def test_a_caller_that_leaves_the_race_ends_both(race: Race):
    race.slow.may_end.set()
    race.fast.may_end.set()
    await asyncio.sleep(0.05)
    race.run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race.run
    assert race.slow.is_ending.is_set()
    assert race.fast.is_ending.is_set()
    assert not race.slow.is_lost


async def test_a_caller_that_leaves_while_the_loser_ends_closes_the_winner(race: Race):
    """Or nobody would ever settle what it holds."""
    race.fast.may_open.set()
    await race.slow.is_ending.wait()
    race.run.cancel()
    await asyncio.sleep(0)
    race.slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await race.run
    [error] = race.fast.closed_with
    assert isinstance(error, asyncio.CancelledError)
    assert not race.fast.is_lost


async def test_if_one_fails_the_other_is_waited_for(race: Race):
    race.fast.fails = True
    race.fast.may_open.set()
    await asyncio.sleep(0.05)
    race.slow.may_open.set()
    assert await race.run is race.slow
