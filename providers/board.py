"""The board, in Redis, on which processes tell one another how the upstreams are.

    runestone:{upstreams}:verdicts       hash  upstream → Verdict: who opened or closed what, last
    runestone:{upstreams}:trial:<slug>   text  the process that may try a half-open upstream now
    runestone:{upstreams}:probes         hash  upstream → Probe: the outcome of the last probe
    runestone:{upstreams}:processes      set   processes that have posted figures
    runestone:{upstreams}:figures:<id>   text  upstream → Figures of one process

All of it may be lost, and all of it expires. The hash tag keeps the keys together in a cluster. An
entry that cannot be read, say of another version, is passed over. Whatever goes wrong with Redis
is raised: one of `runestone.lib.redis.GONE`.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

# A verdict older than this is about another day.
VERDICT_SECONDS_MAX = 3_600
# Several rounds of probes long.
PROBES_SECONDS_MAX = 120
# A process that has posted nothing for so long is gone.
FIGURES_SECONDS_MAX = 15
# A process that has this right and does not use it loses it to whoever asks first.
TRIAL_SECONDS = 2.0

_PREFIX = "runestone:{upstreams}:"
_VERDICTS = _PREFIX + "verdicts"
_TRIAL = _PREFIX + "trial:"
_PROBES = _PREFIX + "probes"
_PROCESSES = _PREFIX + "processes"
_FIGURES = _PREFIX + "figures:"

Entry = TypeVar("Entry")


class Verdict(Struct, frozen=True, kw_only=True):
    """That a process opened an upstream's breaker, or closed it."""

    by: str
    is_closed: bool
    trips: int
    # From when it was posted, or read, until the upstream may be tried.
    seconds: float
    # When it was posted, by the clock of Redis: two machines need not agree on the time.
    posted: float = 0.0


class Probe(Struct, frozen=True, kw_only=True):
    """The outcome of a probe. `up`: it answered, even if only to refuse."""

    up: bool
    # Seconds since 1970, by the prober's clock.
    at: float
    # What is wrong, in words for everybody; empty if nothing is.
    problem: str = ""
    # Probes in a row, up to this one, that found it down.
    failures: int = 0


class Figures(Struct, frozen=True):
    """What traffic showed of an upstream in the last minutes."""

    calls: int = 0
    failures: int = 0
    # Calls of which a first byte came, and the sum of the waits for it.
    first_bytes: int = 0
    first_byte_seconds: float = 0.0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.calls + other.calls,
            self.failures + other.failures,
            self.first_bytes + other.first_bytes,
            self.first_byte_seconds + other.first_byte_seconds,
        )


@dataclass(frozen=True, slots=True)
class News:
    """All that the board says to a process. `trials` are the upstreams that it has won."""

    verdicts: dict[str, Verdict]
    probes: dict[str, Probe]
    trials: set[str]


class Board:
    """Seen by one process; `name` is the name under which it posts."""

    def __init__(self, redis: Redis, name: str = "") -> None:
        self._redis = redis
        self.name = name

    async def exchange(
        self, told: Mapping[str, Verdict], claimed: Collection[str], kept: Collection[str]
    ) -> News:
        """Posts verdicts, claims and keeps rights to a trial, and reads what there is."""
        posted = _seconds(await self._redis.time()) if told else 0.0
        async with self._redis.pipeline(transaction=False) as pipe:
            for upstream, verdict in told.items():
                entry = msgspec.structs.replace(verdict, posted=posted)
                pipe.hset(_VERDICTS, upstream, msgspec.json.encode(entry))
            if told:
                pipe.expire(_VERDICTS, VERDICT_SECONDS_MAX)
            for upstream in kept:
                pipe.pexpire(_TRIAL + upstream, _ms(TRIAL_SECONDS))
            for upstream in claimed:
                pipe.set(_TRIAL + upstream, self.name, nx=True, px=_ms(TRIAL_SECONDS))
            pipe.time()
            pipe.hgetall(_VERDICTS)
            pipe.hgetall(_PROBES)
            *_, now, verdicts, probes = answers = await pipe.execute()
        won = answers[len(answers) - 3 - len(claimed) : -3]
        return News(
            _aged(_entries(verdicts, Verdict), _seconds(now)),
            _entries(probes, Probe),
            {upstream for upstream, is_won in zip(claimed, won, strict=True) if is_won},
        )

    async def probes(self) -> dict[str, Probe]:
        return _entries(await self._redis.hgetall(_PROBES), Probe)

    async def post_probes(self, probes: Mapping[str, Probe]) -> None:
        """In place of those before."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_PROBES)
            for upstream, probe in probes.items():
                pipe.hset(_PROBES, upstream, msgspec.json.encode(probe))
            pipe.expire(_PROBES, PROBES_SECONDS_MAX)
            await pipe.execute()

    async def post_figures(self, figures: Mapping[str, Figures]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(_FIGURES + self.name, msgspec.json.encode(figures), ex=FIGURES_SECONDS_MAX)
            pipe.sadd(_PROCESSES, self.name)
            pipe.expire(_PROCESSES, FIGURES_SECONDS_MAX)
            await pipe.execute()

    async def figures(self) -> dict[str, dict[str, Figures]]:
        """By process and upstream. Forgets processes that are gone."""
        names = [str(name) for name in await self._redis.smembers(_PROCESSES)]
        if not names:
            return {}
        found = await self._redis.mget([_FIGURES + name for name in names])
        gone = [name for name, entry in zip(names, found, strict=True) if entry is None]
        if gone:
            await self._redis.srem(_PROCESSES, *gone)
        posted = {name: entry for name, entry in zip(names, found, strict=True) if entry}
        return _entries(posted, dict[str, Figures])


def _entries(found: Mapping[Any, Any], kind: type[Entry]) -> dict[str, Entry]:
    read = {}
    for name, entry in found.items():
        with suppress(msgspec.DecodeError):
            read[name] = msgspec.json.decode(entry, type=kind)
    return read


def _aged(verdicts: Mapping[str, Verdict], now: float) -> dict[str, Verdict]:
    """With what is left of their time."""
    return {
        upstream: msgspec.structs.replace(verdict, seconds=verdict.seconds - (now - verdict.posted))
        for upstream, verdict in verdicts.items()
        if now - verdict.posted < VERDICT_SECONDS_MAX
    }


def _seconds(time: tuple[int, int]) -> float:
    seconds, microseconds = time
    return seconds + microseconds / 1_000_000


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
