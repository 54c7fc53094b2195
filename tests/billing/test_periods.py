from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.periods import Period, bounds

HOUR = timedelta(hours=1)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # its days began at 01:00 when summer time did
    "America/Havana",  # midnight came twice
    "Africa/Cairo",
    "Asia/Kathmandu",  # +5:45
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # 30 December 2011 never was
    "Pacific/Kiritimati",  # +14
]

zones = st.sampled_from(ZONES).map(ZoneInfo)
periods = st.sampled_from([Period.DAY, Period.WEEK, Period.MONTH])
moments = st.timedeltas(timedelta(0), timedelta(days=36_000)).map(
    lambda passed: datetime(2001, 1, 1, tzinfo=UTC) + passed
)
# Where clocks change, so that Hypothesis need not be lucky.
delicate = st.builds(
    lambda moment, minutes: moment + timedelta(minutes=minutes),
    st.sampled_from(
        [
            datetime(2026, 3, 29, 1, tzinfo=UTC),
            datetime(2026, 10, 25, 1, tzinfo=UTC),
            datetime(2011, 12, 30, 10, tzinfo=UTC),
            datetime(2018, 11, 4, 3, tzinfo=UTC),
            datetime(2019, 2, 17, 2, tzinfo=UTC),
            datetime(2026, 11, 1, 5, tzinfo=UTC),
            datetime(2026, 10, 29, 21, tzinfo=UTC),
        ]
    ),
    st.integers(-3_000, 3_000),
)


def day(zone, year, month, number):
    noon = datetime(year, month, number, 12, tzinfo=ZoneInfo(zone))
    return bounds(Period.DAY, ZoneInfo(zone), noon)


def test_it_works():
    moment = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    berlin = ZoneInfo("Europe/Berlin")
    assert bounds(Period.DAY, berlin, moment) == (
        datetime(2026, 11, 21, 23, tzinfo=UTC),
        datetime(2026, 11, 22, 23, tzinfo=UTC),
    )
    assert bounds(Period.WEEK, berlin, moment) == (
        datetime(2026, 11, 15, 23, tzinfo=UTC),
        datetime(2026, 11, 22, 23, tzinfo=UTC),
    )
    assert bounds(Period.MONTH, berlin, moment) == (
        datetime(2026, 10, 31, 23, tzinfo=UTC),
        datetime(2026, 11, 30, 23, tzinfo=UTC),
    )


def test_a_total_never_ends():
    window = bounds(Period.TOTAL, ZoneInfo("Asia/Kathmandu"), datetime(2026, 1, 1, tzinfo=UTC))
    assert window.starts.year == 2000
    assert window.ends.year == 9999


def test_kathmandu_is_a_quarter_off():
    window = day("Asia/Kathmandu", 2026, 1, 1)
    assert window.starts == datetime(2025, 12, 31, 18, 15, tzinfo=UTC)
    assert window.ends - window.starts == 24 * HOUR


@pytest.mark.parametrize(
    ("zone", "when", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/New_York", (2026, 3, 8), 23),
        ("America/New_York", (2026, 11, 1), 25),
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
        ("America/Sao_Paulo", (2018, 11, 4), 23),
        ("America/Havana", (2026, 11, 1), 25),
        ("Europe/Berlin", (2026, 6, 1), 24),
    ],
)
def test_a_day_is_as_long_as_it_is_there(zone, when, hours):
    window = day(zone, *when)
    assert window.ends - window.starts == hours * HOUR


def test_a_week_begins_on_monday():
    window = bounds(Period.WEEK, ZoneInfo("UTC"), datetime(2026, 11, 22, 23, 59, tzinfo=UTC))
    assert (window.starts.date(), window.ends.date()) == (date(2026, 11, 16), date(2026, 11, 23))


@pytest.mark.parametrize(
    ("year", "month", "days"),
    [(2026, 1, 31), (2026, 2, 28), (2028, 2, 29), (2026, 4, 30), (2026, 12, 31)],
)
def test_a_month_has_its_days(year, month, days):
    last_moment = datetime(year, month, days, 23, 59, 59, 999_999, tzinfo=UTC)
    window = bounds(Period.MONTH, ZoneInfo("UTC"), last_moment)
    assert window.starts == datetime(year, month, 1, tzinfo=UTC)
    assert (window.ends - window.starts).days == days


@given(periods, zones, moments | delicate)
@example(Period.DAY, ZoneInfo("Pacific/Apia"), datetime(2011, 12, 30, 10, tzinfo=UTC))
def test_a_moment_is_in_its_window(period, zone, moment):
    window = bounds(period, zone, moment)
    assert window.starts <= moment < window.ends
    assert window.starts.tzinfo is UTC
    assert window.ends.tzinfo is UTC


@given(periods, zones, moments | delicate)
@example(Period.DAY, ZoneInfo("Pacific/Apia"), datetime(2011, 12, 29, 12, tzinfo=UTC))
def test_windows_tile_time_without_gap_or_overlap(period, zone, moment):
    window = bounds(period, zone, moment)
    assert bounds(period, zone, window.ends).starts == window.ends
    assert bounds(period, zone, window.starts) == window
    assert bounds(period, zone, window.starts - timedelta(microseconds=1)).ends == window.starts
    assert bounds(period, zone, window.ends - timedelta(microseconds=1)) == window


@given(periods, zones, moments | delicate)
def test_windows_begin_at_a_local_midnight_or_where_it_was_skipped(period, zone, moment):
    starts = bounds(period, zone, moment).starts
    a_moment_before = starts - timedelta(microseconds=1)
    assert starts.astimezone(zone).date() > a_moment_before.astimezone(zone).date()
