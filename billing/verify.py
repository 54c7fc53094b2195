"""The books verified: every check of `billing.invariants` against one snapshot of the database.

The snapshot is a read-only transaction, so calls go on meanwhile and disturb nothing, and what is
found is true of one moment. Nothing is repaired: that is a person's work, by corrections.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone
from msgspec import Struct, field

from billing.invariants import CHECKS, Check, Finding, Scope

# Of each check, faults and departures apart. All are counted; so many are told.
FINDINGS_TOLD_MAX = 20


class Told(Struct, frozen=True):
    """A finding in words; without a reason it is a fault."""

    subject: str
    problem: str
    reason: str


class Verdict(Struct):
    """What became of one check."""

    name: str
    title: str
    proves: str
    took_ms: int = 0
    faults: int = 0
    # How many findings each reason explains.
    departures: dict[str, int] = field(default_factory=dict)
    findings: list[Told] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.faults == 0


class Report(Struct):
    """What became of all checks, at one moment."""

    started: datetime
    since: datetime | None
    lines: int
    took_ms: int
    checks: list[Verdict]

    @property
    def faults(self) -> int:
        return sum(verdict.faults for verdict in self.checks)

    @property
    def departures(self) -> int:
        return sum(sum(verdict.departures.values()) for verdict in self.checks)


def verify(
    since: datetime | None = None, tell: Callable[[Verdict], None] = lambda _: None
) -> Report:
    """Runs all checks, on what was admitted `since` or on everything; tells each verdict at once.

    Inside somebody's transaction it sees what that one sees.
    """
    started, clock = timezone.now(), time.monotonic()
    scope = Scope(since)
    with snapshot():
        lines = _count(scope)
        verdicts = []
        for check in CHECKS:
            verdict = judge(check, scope)
            tell(verdict)
            verdicts.append(verdict)
    return Report(started, since, lines, _milliseconds(clock), verdicts)


def judge(check: Check, scope: Scope) -> Verdict:
    clock = time.monotonic()
    verdict = Verdict(check.name, check.title, check.proves)
    reasons = Counter[str]()
    for finding in check.search(scope):
        reasons[finding.reason] += 1
        _keep(finding, verdict, reasons)
    verdict.faults = reasons.pop("", 0)
    verdict.departures = dict(reasons)
    verdict.took_ms = _milliseconds(clock)
    return verdict


def _keep(finding: Finding, verdict: Verdict, reasons: Counter[str]) -> None:
    of_its_sort = reasons[""] if not finding.reason else reasons.total() - reasons[""]
    if of_its_sort <= FINDINGS_TOLD_MAX:
        verdict.findings.append(Told(*finding))


@contextmanager
def snapshot() -> Iterator[None]:
    """All that is read inside is of one moment, and nothing can be written."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # The checks read all their rows; a plan that is quick with the first ones is slow.
            cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
        yield


def _count(scope: Scope) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM billing_entry WHERE created >= %(since)s::timestamptz",
            scope.parameters,
        )
        count: int = cursor.fetchone()[0]
        return count


def _milliseconds(since: float) -> int:
    return round((time.monotonic() - since) * 1_000)
