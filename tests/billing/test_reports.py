"""Usage by periods, zones and columns, with percentiles: the same before and after folding."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing import rollups
from billing.periods import Bounds, Period, bounds
from billing.reports import Dimension, Step, usage
from tests.billing.usage import Scribe

KOLKATA, BERLIN, HAVANA, UTC_ZONE = map(
    ZoneInfo, ["Asia/Kolkata", "Europe/Berlin", "America/Havana", "UTC"]
)


@pytest.fixture(params=["live tail", "folded"])
def acme(live, request):
    """Reports must not tell whether the roll-ups have been folded yet."""
    made = Scribe("Acme")
    write = made.write

    def write_and_fold(*arguments, **options):
        written = write(*arguments, **options)
        if request.param == "folded":
            rollups.fold()
        return written

    made.write = write_and_fold
    return made


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def amounts(scribe, period, zone, step=None):
    rows = usage(period, zone, step=step, only={Dimension.TENANT: [scribe.id]})
    return [(row.time, row.amount_pico) for row in rows]


def test_a_day_half_an_hour_away_from_utc(acme):
    acme.write(1, created=at("2026-11-09T18:29:59.999999"))
    acme.write(20, created=at("2026-11-09T18:30"))
    acme.write(300, created=at("2026-11-10T18:29:59.999999"))
    acme.write(4000, created=at("2026-11-10T18:30"))
    day = bounds(Period.DAY, KOLKATA, at("2026-11-10T12:00"))
    assert amounts(acme, day, KOLKATA) == [(None, 320)]
    three = Bounds(day.starts - timedelta(days=1), day.ends + timedelta(days=1))
    assert amounts(acme, three, KOLKATA, Step.DAY) == [
        (date(2026, 11, 9), 1),
        (date(2026, 11, 10), 320),
        (date(2026, 11, 11), 4000),
    ]
    assert amounts(acme, three, KOLKATA, Step.HOUR)[:2] == [
        (at("2026-11-09T17:30"), 1),
        (at("2026-11-09T18:30"), 20),
    ]


def test_a_day_of_25_hours(acme):
    for amount, moment in enumerate(
        ["2026-10-24T21:59", "2026-10-24T22:00", "2026-10-25T00:30", "2026-10-25T01:30",
         "2026-10-25T22:59", "2026-10-25T23:00"]
    ):  # fmt: skip
        acme.write(10**amount, created=at(moment))
    day = bounds(Period.DAY, BERLIN, at("2026-10-25T12:00"))
    assert day.ends - day.starts == timedelta(hours=25)
    assert amounts(acme, day, BERLIN, Step.DAY) == [(date(2026, 10, 25), 11_110)]
    # 02:30 comes twice, and is two hours.
    assert amounts(acme, day, BERLIN, Step.HOUR) == [
        (at("2026-10-24T22:00"), 10),
        (at("2026-10-25T00:00"), 100),
        (at("2026-10-25T01:00"), 1_000),
        (at("2026-10-25T22:00"), 10_000),
    ]


def test_a_day_of_23_hours(acme):
    for amount, moment in enumerate(
        ["2026-03-28T22:59", "2026-03-28T23:00", "2026-03-29T21:59", "2026-03-29T22:00"]
    ):
        acme.write(10**amount, created=at(moment))
    day = bounds(Period.DAY, BERLIN, at("2026-03-29T12:00"))
    assert amounts(acme, day, BERLIN, Step.DAY) == [(date(2026, 3, 29), 110)]


def test_a_midnight_that_comes_twice(acme):
    acme.write(1, created=at("2026-11-01T04:30"))
    acme.write(20, created=at("2026-11-01T05:30"))
    day = bounds(Period.DAY, HAVANA, at("2026-11-01T12:00"))
    assert amounts(acme, day, HAVANA, Step.DAY) == [(date(2026, 11, 1), 21)]


@pytest.mark.parametrize(
    ("step", "first"), [(Step.WEEK, date(2026, 10, 26)), (Step.MONTH, date(2026, 11, 1))]
)
def test_weeks_and_months_begin_in_the_zone(acme, step, first):
    acme.write(5, created=at("2026-10-31T18:30"))
    month = bounds(Period.MONTH, KOLKATA, at("2026-11-10T12:00"))
    assert amounts(acme, month, KOLKATA, step) == [(first, 5)]


def test_by_columns(acme):
    project = acme.account.project.id
    acme.write(1, attempt={"model": "a"})
    acme.write(20, attempt={"model": "a", "project_id": None})
    acme.write(300, attempt={"model": "b"}, status=502, kind="void")
    now = datetime.now(UTC)
    day = bounds(Period.MONTH, UTC_ZONE, now)
    only = {Dimension.TENANT: [acme.id]}

    rows = usage(day, UTC_ZONE, by=[Dimension.MODEL, Dimension.PROJECT], only=only)
    assert [(*row.group.values(), row.amount_pico, row.failed) for row in rows] == [
        ("a", None, 20, 0),
        ("a", project, 1, 0),
        ("b", project, 300, 1),
    ]
    for column, values, amount in [
        (Dimension.PROJECT, [None], 20),
        (Dimension.PROJECT, [None, project], 321),
        (Dimension.KIND, ["void"], 300),
        (Dimension.STATUS, [200], 21),
        (Dimension.BYOK, [False], 321),
    ]:
        [row] = usage(day, UTC_ZONE, only={**only, column: values})
        assert row.amount_pico == amount
    assert usage(day, UTC_ZONE, only={**only, Dimension.MODEL: []}) == []


def test_what_is_counted_how(acme):
    acme.write(5)
    acme.write(0, kind="void", status=503)
    acme.write(7, kind="orphan", price_state="estimated", status=0)
    acme.write(0, kind="cached", saved_pico=9)
    unpriced = acme.write(None)
    acme.correct(unpriced, 11)
    [row] = usage(
        bounds(Period.MONTH, UTC_ZONE, datetime.now(UTC)),
        UTC_ZONE,
        only={Dimension.TENANT: [acme.id]},
    )
    assert (row.lines, row.charges, row.voids, row.orphans) == (6, 2, 1, 1)
    assert (row.cached, row.corrections, row.failed) == (1, 1, 2)
    assert (row.unpriced, row.estimated) == (1, 1)
    assert (row.amount_pico, row.saved_pico) == (23, 9)


def test_a_stranger_sees_nothing(acme):
    acme.write(5)
    globex = Scribe("Globex")
    month = bounds(Period.MONTH, UTC_ZONE, datetime.now(UTC))
    assert usage(month, UTC_ZONE, only={Dimension.TENANT: [globex.id]}) == []


def test_percentiles_over_all_buckets(acme):
    for milliseconds in (5, 110, 120, 130, 140, 8_000):
        acme.write(
            1,
            created=datetime.now(UTC) - timedelta(minutes=milliseconds % 40),
            duration_ms=milliseconds,
            first_byte_ms=None if milliseconds > 1_000 else 5,
        )
    acme.write(1, kind="orphan", status=0, duration_ms=0)
    now = datetime.now(UTC)
    period = Bounds(
        *(bounds(Period.DAY, UTC_ZONE, now + timedelta(days=d)).starts for d in (-1, 1))
    )
    [row] = usage(period, UTC_ZONE, only={Dimension.TENANT: [acme.id]})
    assert (sum(row.durations), sum(row.first_bytes)) == (6, 5)
    assert row.duration_ms(50) == 100 + 50 * 2 / 4
    assert 7_000 < row.duration_ms(99) <= 10_000
    assert row.first_byte_ms(100) == 10


def test_a_period_that_cuts_a_quarter_is_refused():
    with pytest.raises(ValueError, match="not on quarter hours"):
        usage(Bounds(at("2026-11-01T00:07"), at("2026-11-02T00:00")), UTC_ZONE)
