"""What was used and what it cost, from the roll-ups and the ledger's live tail: never behind it.

Lines are attempts, not requests: a call that failed over to another upstream has two.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from billing.latency import CELLS, percentile_ms
from billing.periods import Bounds

QUARTER_SECONDS = 15 * 60


class Dimension(StrEnum):
    """What usage can be narrowed to and grouped by: a bucket's columns."""

    TENANT = "tenant_id"
    PROJECT = "project_id"
    API_KEY = "api_key_id"
    UPSTREAM = "upstream"
    MODEL = "model"
    KIND = "kind"
    PRICE_STATE = "price_state"
    STATUS = "status"
    SERVICE_TIER = "service_tier"
    BYOK = "byok"


class Step(StrEnum):
    """How finely time is parted: by quarter hours, or by hours and days of a time zone."""

    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The sums of one group. Corrections are in them: in tokens and amounts, as differences."""

    # The moment at which a quarter or an hour begins, the first day of any other step.
    time: datetime | date | None
    group: Mapping[Dimension, Any]

    lines: int
    charges: int
    voids: int
    orphans: int
    cached: int
    corrections: int
    # Attempts that their caller saw fail: an HTTP status from 400 on, or none at all.
    failed: int
    # By what was known when a line was written; a correction may have told the price since.
    unpriced: int
    estimated: int

    amount_pico: int
    # Of cached answers whose price is known.
    saved_pico: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    input_audio_tokens: int
    output_tokens: int
    reasoning_tokens: int
    output_audio_tokens: int
    web_searches: int

    # Histograms (billing/latency.py). Orphans were never measured, and corrections were before.
    durations: Sequence[int]
    first_bytes: Sequence[int]

    def duration_ms(self, percent: float) -> float | None:
        return percentile_ms(self.durations, percent)

    def first_byte_ms(self, percent: float) -> float | None:
        return percentile_ms(self.first_bytes, percent)


def usage(
    period: Bounds,
    zone: ZoneInfo,
    *,
    by: Sequence[Dimension] = (),
    step: Step | None = None,
    only: Mapping[Dimension, Collection[Any]] | None = None,
) -> list[Usage]:
    """The usage of calls admitted in `period`, one row per group that has lines, in order.

    `period` is half-open and on quarter hours, as every midnight is (`billing/periods.py`). `zone`
    says where hours, days and months begin. `only` narrows to some values of a column; a project
    of None is of keys without one. All is read in one snapshot.
    """
    if any(moment.timestamp() % QUARTER_SECONDS for moment in period):
        raise ValueError(f"{period} is not on quarter hours")
    narrowed = dict(only or {})
    parameters: dict[str, Any] = {
        "starts": period.starts,
        "ends": period.ends,
        "zone": zone.key,
        "tenant": _only_one(narrowed.get(Dimension.TENANT, ())),
        **{column: [_stored(column, each) for each in narrowed[column]] for column in narrowed},
    }
    with connection.cursor() as cursor:
        cursor.execute(_statement(by, step, narrowed), parameters)
        return [_usage(row, by) for row in cursor.fetchall()]


_TIMES = {
    Step.QUARTER: "starts",
    Step.HOUR: "date_trunc('hour', starts, %(zone)s)",
    # Dates, not moments: a midnight may come twice, or not at all, where clocks change then.
    Step.DAY: "(starts AT TIME ZONE %(zone)s)::date",
    Step.WEEK: "date_trunc('week', starts AT TIME ZONE %(zone)s)::date",
    Step.MONTH: "date_trunc('month', starts AT TIME ZONE %(zone)s)::date",
}

_COUNTS = {
    "lines": "true",
    "charges": "kind = 'charge'",
    "voids": "kind = 'void'",
    "orphans": "kind = 'orphan'",
    "cached": "kind = 'cached'",
    "corrections": "kind = 'correction'",
    "failed": "kind <> 'correction' AND status NOT BETWEEN 1 AND 399",
    "unpriced": "price_state = 'unpriced'",
    "estimated": "price_state = 'estimated'",
}

_SUMS = (
    "amount_pico",
    "saved_pico",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "web_searches",
)

_HISTOGRAMS = ("durations", "first_bytes")

_FIGURES = (*_COUNTS, *_SUMS, *_HISTOGRAMS)


def _statement(by: Iterable[Dimension], step: Step | None, narrowed: Iterable[Dimension]) -> str:
    """Names of columns come from our own enumerations; values go as parameters."""
    groups = [_TIMES[step] if step else "NULL::date", *by]
    figures = [
        *(f"coalesce(sum(lines) FILTER (WHERE {which}), 0)" for which in _COUNTS.values()),
        *(f"sum({column})" for column in _SUMS),
        # Cell by cell: ten times as fast as an aggregate of arrays.
        *(
            f"ARRAY[{', '.join(f'sum({column}[{cell}])' for cell in range(1, CELLS + 1))}]"
            for column in _HISTOGRAMS
        ),
    ]
    where = " AND ".join(
        ["starts >= %(starts)s AND starts < %(ends)s", *(f"{c} = ANY(%({c})s)" for c in narrowed)]
    )
    places = ", ".join(str(number) for number in range(1, len(groups) + 1))
    return f"""
        SELECT {", ".join([*groups, *figures])}
        FROM (SELECT * FROM billing_usagebucket
              UNION ALL
              SELECT * FROM billing_usage_tail(%(tenant)s, %(starts)s, %(ends)s)) bucket
        WHERE {where}
        GROUP BY {places} ORDER BY {places}
    """  # noqa: S608


def _usage(row: Sequence[Any], by: Sequence[Dimension]) -> Usage:
    time, *rest = row
    values, figures = rest[: len(by)], rest[len(by) :]
    return Usage(
        time=time,
        group={column: _given(column, value) for column, value in zip(by, values, strict=True)},
        **{name: _whole(value) for name, value in zip(_FIGURES, figures, strict=True)},
    )


def _whole(value: Any) -> Any:
    """Postgres sums bigints to numerics; they are whole numbers still."""
    return [int(cell) for cell in value] if isinstance(value, list) else int(value)


def _only_one(tenants: Collection[int]) -> int | None:
    """The tenant whose tail is enough, None if it takes more than one's."""
    return next(iter(tenants)) if len(tenants) == 1 else None


# A key of a table cannot be null, so buckets say 0 for no project.
def _stored(column: Dimension, value: Any) -> Any:
    return 0 if column is Dimension.PROJECT and value is None else value


def _given(column: Dimension, value: Any) -> Any:
    return None if column is Dimension.PROJECT and value == 0 else value
