"""Where a budget's periods begin and end: in the tenant's time zone, half-open, stored in UTC."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import models


class Period(models.TextChoices):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Bounds(NamedTuple):
    """[starts, ends) in UTC."""

    starts: datetime
    ends: datetime


# The one window of a budget that never resets.
_ALL_TIME = Bounds(datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


def bounds(period: str, zone: ZoneInfo, moment: datetime) -> Bounds:
    """The period around `moment`. Local midnights decide, so a day may have 23 or 25 hours."""
    if period == Period.TOTAL:
        return _ALL_TIME
    midnight = datetime.combine(moment.astimezone(zone).date(), datetime.min.time())
    if period == Period.DAY:
        starts, ends = midnight, midnight + timedelta(days=1)
    elif period == Period.WEEK:
        starts = midnight - timedelta(days=midnight.weekday())
        ends = starts + timedelta(days=7)
    else:
        starts = midnight.replace(day=1)
        ends = (starts + timedelta(days=31)).replace(day=1)
    return Bounds(*(local.replace(tzinfo=zone).astimezone(UTC) for local in (starts, ends)))
