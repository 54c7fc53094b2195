"""How the upstreams do, as gateways and probes tell one another in Redis; for people to look at.

Whoever looks is never held up for long and never fails: while Redis does not answer, nothing is
known.
"""

import asyncio
from collections.abc import Iterable

from asgiref.sync import async_to_sync
from django.conf import settings
from msgspec import Struct

from providers.board import Board, Figures, News, Probe, Verdict
from providers.breaker import BreakerState
from providers.health import SLICE_SECONDS, SLICES, total
from runestone.lib.redis import GONE, connect

LOOK_SECONDS_MAX = 0.5
# How far back figures reach.
FIGURES_MINUTES = SLICES * SLICE_SECONDS / 60


class Standing(Struct, frozen=True):
    """Of one upstream, over all gateways."""

    state: BreakerState = BreakerState.CLOSED
    # Until it is half-open.
    seconds: float = 0.0
    probe: Probe | None = None
    figures: Figures = Figures()


def look(upstreams: Iterable[str]) -> dict[str, Standing]:
    """By slug, for all of them; empty while Redis does not answer."""
    slugs = list(upstreams)
    try:
        news, figures = async_to_sync(_look)()
    except GONE:
        return {}
    return {slug: _standing(slug, news, figures.get(slug, Figures())) for slug in slugs}


async def _look() -> tuple[News, dict[str, Figures]]:
    async with asyncio.timeout(LOOK_SECONDS_MAX), connect(settings.REDIS_URL) as redis:
        board = Board(redis)
        return await board.exchange({}, (), ()), total((await board.figures()).values())


def _standing(slug: str, news: News, figures: Figures) -> Standing:
    verdict, probe = news.verdicts.get(slug), news.probes.get(slug)
    if verdict is None or verdict.is_closed:
        return Standing(BreakerState.CLOSED, 0.0, probe, figures)
    if verdict.seconds <= 0 or _has_helped(probe, verdict):
        return Standing(BreakerState.HALF_OPEN, 0.0, probe, figures)
    return Standing(BreakerState.OPEN, verdict.seconds, probe, figures)


def _has_helped(probe: Probe | None, verdict: Verdict) -> bool:
    """A good probe after it was opened makes it half-open at once."""
    return probe is not None and probe.up and not probe.problem and probe.at > verdict.posted
