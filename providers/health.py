"""How the upstreams do, seen from the traffic that they get anyway.

Each process counts its own calls of the last minutes and posts the sums every few seconds, so that
any of them can tell what all of them see. The time to the first byte of each route is kept for
routing, as an average in which the latest calls weigh most.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from uuid import uuid4

from msgspec import Struct
from redis.asyncio import Redis

from providers.board import Board, Figures
from runestone.lib.periodic import Periodic
from runestone.lib.redis import GONE

POST_SECONDS = 3.0
# The last minutes: so many slices of so many seconds, the present one among them.
SLICES = 20
SLICE_SECONDS = 15.0
# What the latest call weighs in the average of a route's latency.
LATEST_WEIGHT = 0.2
# A latency that old says nothing any more.
LATENCY_SECONDS_MAX = 600.0


class Health:
    """Belongs to one event loop."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._board = Board(redis, uuid4().hex)
        self._posts = Periodic("figures of providers are not posted", self._post, POST_SECONDS)
        self._recent: dict[str, _Recent] = {}
        # By upstream and model: the average, and when it was last renewed.
        self._latencies: dict[tuple[str, str], tuple[float, float]] = {}

    async def start(self) -> None:
        self._posts.start()

    async def stop(self) -> None:
        await self._posts.stop()

    def observe(
        self, upstream: str, model: str, *, first_byte_seconds: float | None, ok: bool
    ) -> None:
        """A call that ended; `first_byte_seconds` is None if no byte came."""
        now = self._clock()
        recent = self._recent.get(upstream)
        if recent is None:
            recent = self._recent[upstream] = _Recent()
        recent.count(int(now / SLICE_SECONDS), first_byte_seconds, ok)
        if ok and first_byte_seconds is not None:
            before = self.latency(upstream, model)
            if before is not None:
                first_byte_seconds = before + LATEST_WEIGHT * (first_byte_seconds - before)
            self._latencies[upstream, model] = first_byte_seconds, now

    def latency(self, upstream: str, model: str) -> float | None:
        """Seconds to the first byte of this route, of late; None if that is not known."""
        known = self._latencies.get((upstream, model))
        if known is None or self._clock() - known[1] > LATENCY_SECONDS_MAX:
            return None
        return known[0]

    def figures(self) -> dict[str, Figures]:
        """This process's own, by upstream."""
        now = int(self._clock() / SLICE_SECONDS)
        return {upstream: recent.figures(now) for upstream, recent in self._recent.items()}

    async def figures_of_all(self) -> dict[str, Figures]:
        """The sum over all processes; over this one alone if Redis is gone."""
        try:
            posted = await self._board.figures()
        except GONE:
            posted = {}
        # Ours are fresher than what we have posted.
        return total((posted | {self._board.name: self.figures()}).values())

    async def _post(self) -> None:
        await self._board.post_figures(self.figures())


def total(parts: Iterable[Mapping[str, Figures]]) -> dict[str, Figures]:
    sums: dict[str, Figures] = {}
    for part in parts:
        for upstream, figures in part.items():
            sums[upstream] = sums.get(upstream, Figures()) + figures
    return sums


class _Slice(Struct):
    number: int
    calls: int = 0
    failures: int = 0
    first_bytes: int = 0
    first_byte_seconds: float = 0.0


class _Recent:
    """One upstream's calls, by slices of time."""

    def __init__(self) -> None:
        self._slices: deque[_Slice] = deque(maxlen=SLICES)

    def count(self, now: int, first_byte_seconds: float | None, ok: bool) -> None:
        if not self._slices or self._slices[-1].number != now:
            self._slices.append(_Slice(now))
        present = self._slices[-1]
        present.calls += 1
        present.failures += not ok
        if first_byte_seconds is not None:
            present.first_bytes += 1
            present.first_byte_seconds += first_byte_seconds

    def figures(self, now: int) -> Figures:
        recent = [each for each in self._slices if each.number > now - SLICES]
        return Figures(
            calls=sum(each.calls for each in recent),
            failures=sum(each.failures for each in recent),
            first_bytes=sum(each.first_bytes for each in recent),
            first_byte_seconds=sum(each.first_byte_seconds for each in recent),
        )
