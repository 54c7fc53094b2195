"""Keeps the roll-ups equal to the ledger: folds what is new, rebuilds, compares (`rollups.sql`).

`billing/reports.py` reads them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from billing.periods import Bounds, Period, bounds

# A fold holds back other folds and rebuilds, nobody else, for as long as these lines take.
LINES_PER_FOLD_MAX = 10_000
DIFFERENCES_SHOWN_MAX = 100
_UTC = ZoneInfo("UTC")


def fold() -> int:
    """Folds all lines whose transactions have ended; returns how many.

    Any number of processes may fold at once: one does it, and the others find nothing to do. Each
    batch is a transaction of its own, so a crash loses at most the work on one batch.
    """
    folded = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT billing_rollup_fold(%s)", [LINES_PER_FOLD_MAX])
            lines: int = cursor.fetchone()[0]
            folded += lines
            if lines < LINES_PER_FOLD_MAX:
                return folded


def rebuild(starts: datetime | None = None, ends: datetime | None = None) -> int:
    """Makes the buckets of [starts, ends) anew from the ledger, and returns how many there are.

    Both on a quarter hour; None: from the first, to the last. A month at a time, each in its own
    transaction; reports see the buckets of before, or those of after.
    """
    buckets = 0
    with connection.cursor() as cursor:
        for month in _months(cursor, starts, ends):
            cursor.execute("SELECT billing_rollup_rebuild(%s, %s)", [month.starts, month.ends])
            [made] = cursor.fetchone()
            buckets += made
    return buckets


def differences() -> list[str]:
    """The buckets in which roll-ups and ledger differ, in words; none if they are equal."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT side, to_json(bucket)::text FROM billing_rollup_differences()"
            " ORDER BY (bucket).starts, 2 LIMIT %s",
            [DIFFERENCES_SHOWN_MAX],
        )
        return [f"only in the {side}: {bucket}" for side, bucket in cursor.fetchall()]


def _months(cursor: Any, starts: datetime | None, ends: datetime | None) -> Iterator[Bounds]:
    """[starts, ends) by months in UTC, as the ledger is partitioned."""
    cursor.execute("""
        SELECT least((SELECT min(created) FROM billing_entry),
                     (SELECT min(starts) FROM billing_usagebucket)),
               greatest((SELECT max(created) FROM billing_entry),
                        (SELECT max(starts) FROM billing_usagebucket))
    """)
    first, last = cursor.fetchone()
    if first is None:
        return
    moment = bounds(Period.MONTH, _UTC, first).starts
    while moment <= last:
        month = bounds(Period.MONTH, _UTC, moment)
        moment = month.ends
        part = Bounds(
            max(starts or month.starts, month.starts), min(ends or month.ends, month.ends)
        )
        if part.starts < part.ends:
            yield part
