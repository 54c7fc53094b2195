"""The breakers of all upstreams, and what other processes found out.

A call asks and tells the breakers in memory and never waits. In the background each process posts
what it has opened or closed, and learns what others have, at once or within `POLL_SECONDS`. A
half-open upstream is tried by one process at a time, the one that has won the right to. While Redis
is gone each process goes by its own breakers.
"""

import time
from collections.abc import Callable
from uuid import uuid4

from redis.asyncio import Redis

from providers.board import TRIAL_SECONDS, Board, News, Probe, Verdict
from providers.breaker import Breaker, BreakerState
from runestone.lib.periodic import Periodic

POLL_SECONDS = 0.5
# Probes in a row that find an upstream down, before its breaker opens without a call that fails.
PROBE_FAILURES_MAX = 3

__all__ = ["BreakerState", "Breakers"]


class Breakers:
    """Belongs to one event loop. Every call that `begin` lets through must come to an end here:
    `succeeded`, `failed` or `abandoned`.

    `begin` gives the turn that the call belongs to. Given back with the verdict, it keeps a call
    that was begun before an outage from being taken for one of now (see `Breaker`).
    """

    def __init__(
        self,
        redis: Redis,
        clock: Callable[[], float] = time.monotonic,
        *,
        open_by_calls: bool = True,
    ) -> None:
        """`open_by_calls`: whether calls that fail can open a breaker at all."""
        self._clock = clock
        self._open_by_calls = open_by_calls
        self._breakers: dict[str, Breaker] = {}
        self._board = Board(redis, uuid4().hex)
        self._exchanges = Periodic("breakers are not shared", self._exchange, POLL_SECONDS)
        # Whether the last exchange succeeded.
        self._is_shared = False
        # Whose change others have not been told.
        self._untold: set[str] = set()
        # Half-open ones that a call would have tried, had this process the right to.
        self._wanted: set[str] = set()
        # Until when this process has the right to try, by upstream.
        self._trials: dict[str, float] = {}
        # What has been taken in already: who posted it when, and when the prober asked.
        self._verdicts_seen: dict[str, tuple[str, float]] = {}
        self._probes: dict[str, Probe] = {}

    async def start(self) -> None:
        self._exchanges.start()

    async def stop(self) -> None:
        await self._exchanges.stop()

    def permits(self, upstream: str) -> bool:
        """Whether a call may be tried now. Takes nothing."""
        breaker = self._breakers.get(upstream)
        if breaker is None or breaker.is_closed:
            return True
        return breaker.permits() and self._may_try(upstream)

    def begin(self, upstream: str) -> int:
        """The call's turn, which is true; 0 if it may not be made now."""
        breaker = self._breaker(upstream)
        if not (breaker.is_closed or (breaker.permits() and self._may_try(upstream))):
            return 0
        return breaker.begin()

    def succeeded(self, upstream: str, turn: int | None = None) -> None:
        breaker = self._breaker(upstream)
        before = breaker.turn
        breaker.succeeded(turn)
        if breaker.turn != before:
            self._tell(upstream)

    def failed(self, upstream: str, turn: int | None = None) -> None:
        """By a fault of the upstream: unreachable, too slow, 5xx, garbage, a stream cut off."""
        if not self._open_by_calls:
            self.abandoned(upstream, turn)
            return
        breaker = self._breaker(upstream)
        before = breaker.turn
        breaker.failed(turn)
        if breaker.turn != before:
            self._tell(upstream)

    def abandoned(self, upstream: str, turn: int | None = None) -> None:
        """Ended without a verdict: the caller hung up or was at fault, or a rate limit is met."""
        self._breaker(upstream).abandoned(turn)

    def state(self, upstream: str) -> BreakerState:
        breaker = self._breakers.get(upstream)
        return BreakerState.CLOSED if breaker is None else breaker.state

    def seconds_until_trial(self, upstream: str) -> float:
        """0 unless it is open."""
        breaker = self._breakers.get(upstream)
        return 0.0 if breaker is None else breaker.seconds_until_trial()

    def probe(self, upstream: str) -> Probe | None:
        """The outcome of the last probe; None if there was none lately, or Redis is gone."""
        return self._probes.get(upstream) if self._is_shared else None

    def _breaker(self, upstream: str) -> Breaker:
        breaker = self._breakers.get(upstream)
        if breaker is None:
            breaker = self._breakers[upstream] = Breaker(self._clock)
        return breaker

    def _may_try(self, upstream: str) -> bool:
        """Whether the right to try is ours. If not, it is asked for from now on."""
        if self._has_trial(upstream):
            return True
        self._wanted.add(upstream)
        return False

    def _has_trial(self, upstream: str) -> bool:
        return not self._is_shared or self._trials.get(upstream, 0.0) > self._clock()

    def _tell(self, upstream: str) -> None:
        self._untold.add(upstream)
        self._exchanges.wake()

    async def _exchange(self) -> None:
        told, self._untold = self._untold, set()
        claimed, kept = self._half_open()
        until = self._clock() + TRIAL_SECONDS
        try:
            news = await self._board.exchange(
                {upstream: self._verdict(upstream) for upstream in told}, claimed, kept
            )
        except BaseException:
            self._is_shared = False
            self._untold |= told
            raise
        self._is_shared = True
        self._trials |= dict.fromkeys(news.trials | kept, until)
        self._take_in(news)

    def _half_open(self) -> tuple[set[str], set[str]]:
        """Upstreams that a call waits to try here, and those that we are trying.

        A process without such calls must not have the right: it would never make use of it, and
        could take it again and again before any other.
        """
        claimed, kept = set(), set()
        for upstream, breaker in self._breakers.items():
            if breaker.state is not BreakerState.HALF_OPEN:
                continue
            if self._has_trial(upstream) and self._is_shared:
                if breaker.trials:
                    kept.add(upstream)
            elif upstream in self._wanted:
                claimed.add(upstream)
        self._wanted.clear()
        return claimed, kept

    def _verdict(self, upstream: str) -> Verdict:
        breaker = self._breaker(upstream)
        return Verdict(
            by=self._board.name,
            is_closed=breaker.is_closed,
            trips=breaker.trips,
            seconds=breaker.seconds_until_trial(),
        )

    def _take_in(self, news: News) -> None:
        for upstream, verdict in news.verdicts.items():
            seen = (verdict.by, verdict.posted)
            is_new = self._verdicts_seen.get(upstream) != seen
            self._verdicts_seen[upstream] = seen
            # What has changed here in the meantime is newer, and will be told.
            if is_new and verdict.by != self._board.name and upstream not in self._untold:
                self._obey(upstream, verdict)
        before, self._probes = self._probes, news.probes
        for upstream, probe in news.probes.items():
            if before.get(upstream) != probe:
                self._take_probe(upstream, probe)

    def _obey(self, upstream: str, verdict: Verdict) -> None:
        breaker = self._breaker(upstream)
        if verdict.is_closed:
            breaker.close()
        else:
            breaker.open(verdict.seconds, verdict.trips)

    def _take_probe(self, upstream: str, probe: Probe) -> None:
        breaker = self._breaker(upstream)
        before = breaker.turn
        if probe.up and not probe.problem:
            breaker.probe_succeeded()
        elif probe.failures >= PROBE_FAILURES_MAX:
            breaker.probes_failed()
        if breaker.turn != before:
            self._tell(upstream)
