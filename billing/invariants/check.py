"""What a check is: a name, a sentence, and a search for what contradicts it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from billing.instances import LOCK_SPACE
from billing.sweeper import HOLD_AGE_SLACK_SECONDS
from runestone.lib.money import format_usd

# Fetched at once, so that a ledger of any length needs the same memory.
ROWS_PER_FETCH = 2_000
# What a dead gateway held is resolved within so long, or nobody sweeps.
SWEEP_SECONDS_MAX = 60
# Beat makes the ledger's months once a day, so the farthest one may be missing for that day.
MONTHS_AHEAD_MIN = 2


class Finding(NamedTuple):
    """Something that contradicts a check. With a `reason` it is explained; without, a fault."""

    subject: str
    problem: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: everything, or what was admitted since a moment."""

    since: datetime | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """By the names that the queries have for them; durations in seconds."""
        return {
            "since": self.since or "-infinity",
            "lock_space": LOCK_SPACE,
            "silence": settings.RUNESTONE_INSTANCE_SILENCE_SECONDS_MAX,
            "hold_age": settings.RUNESTONE_TOTAL_SECONDS_MAX + HOLD_AGE_SLACK_SECONDS,
            "grace": SWEEP_SECONDS_MAX,
            "months_ahead": MONTHS_AHEAD_MIN,
        }


Search = Callable[[Scope], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    title: str
    proves: str
    search: Search


def rows(query: str, scope: Scope) -> Iterator[tuple[Any, ...]]:
    """The query's rows through a cursor of the server's. Inside a transaction only."""
    with closing(connection.chunked_cursor()) as cursor:
        cursor.execute(query, scope.parameters)
        while fetched := cursor.fetchmany(ROWS_PER_FETCH):
            yield from fetched


def query(name: str) -> Search:
    """The search by `name`.sql beside this file, which gives the rows that ought not to be.

    Its columns: subject, problem, stated, found (pico-USD, or null), reason (empty for a fault).
    The problem may name {stated} and {found}; they are filled in as dollars.
    """
    text = (Path(__file__).parent / f"{name}.sql").read_text()

    def search(scope: Scope) -> Iterator[Finding]:
        for subject, problem, stated, found, reason in rows(text, scope):
            words = problem.format(stated=_usd(stated), found=_usd(found))
            yield Finding(subject, words, reason)

    return search


def _usd(pico: Any) -> str:
    return "nothing" if pico is None else format_usd(int(pico))
