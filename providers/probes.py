"""Probes: asking each upstream for the list of its models, which costs no tokens.

Whatever it answers shows that it is there, unless it says itself that it fails; the list is not
read. A worker probes, and posts for all gateways what came of it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping

import httpx
import msgspec

from providers.board import Board, Probe
from providers.models import Upstream
from providers.offers import CannotTell, Question

# An upstream takes milliseconds to list its models, a slow one a second.
PROBE_SECONDS_MAX = 5.0
# A round takes no longer than its slowest probe, for so many upstreams.
PROBES_AT_ONCE_MAX = 32

_REJECTED = (401, 403)

log = logging.getLogger(__name__)


def questions() -> dict[str, Question]:
    """What to ask each enabled upstream, by slug; not those that cannot be asked."""
    found = {}
    for upstream in Upstream.objects.filter(enabled=True).order_by("slug"):
        try:
            found[upstream.slug] = Question.to(upstream)
        except CannotTell as reason:
            log.debug("%s is not probed: %s", upstream.slug, reason)
    return found


async def probe(asked: Mapping[str, Question], board: Board) -> None:
    """Asks them all at once, and posts the outcomes in place of those before."""
    before = await board.probes()
    places = asyncio.Semaphore(PROBES_AT_ONCE_MAX)
    # A proxy of the environment is not asked on the hot path either.
    async with httpx.AsyncClient(timeout=PROBE_SECONDS_MAX, trust_env=False) as client:

        async def outcome(upstream: str, question: Question) -> Probe:
            async with places:
                outcome = await _asked(client, question)
            if outcome.up:
                return outcome
            last = before.get(upstream)
            return msgspec.structs.replace(outcome, failures=1 + (last.failures if last else 0))

        outcomes = await asyncio.gather(*(outcome(*each) for each in asked.items()))
    await board.post_probes(dict(zip(asked, outcomes, strict=True)))


async def _asked(client: httpx.AsyncClient, question: Question) -> Probe:
    where, query, headers = question.url, question.query, question.headers
    try:
        async with (
            asyncio.timeout(PROBE_SECONDS_MAX),
            client.stream("GET", where, params=query, headers=headers) as answer,
        ):
            status = answer.status_code
    except (TimeoutError, httpx.TimeoutException):
        return _outcome(up=False, problem=f"no answer within {PROBE_SECONDS_MAX:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return _outcome(up=False, problem="it cannot be reached")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return _outcome(up=False, problem=f"it fails (HTTP {status})")
    if status in _REJECTED and question.has_key:
        return _outcome(up=True, problem=f"it rejects our credential (HTTP {status})")
    return _outcome(up=True)


def _outcome(*, up: bool, problem: str = "") -> Probe:
    return Probe(up=up, at=time.time(), problem=problem)
