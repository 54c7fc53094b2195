"""The ledger's filters. None of them costs what the ledger is long, and one is compulsory."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter

_DAY = "Last 24 hours"
_WINDOWS = {
    "hour": ("Last hour", timedelta(hours=1)),
    "": (_DAY, timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 31 days", timedelta(days=31)),
}
_RANGE = ("created_from_0", "created_to_0")


class RecentFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    """The compulsory window: there is no "all", because all is the whole ledger."""

    title = "time"
    parameter_name = "recent"
    all_option = ("", _DAY)

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(key, words) for key, (words, _) in _WINDOWS.items() if key]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if is_search(request) or any(request.GET.get(name) for name in _RANGE):
            return queryset
        _, length = _WINDOWS.get(self.value() or "", _WINDOWS[""])
        return queryset.filter(created__gte=timezone.now() - length)


class BetweenFilter(RangeDateTimeFilter):  # type: ignore[misc]  # unfold ships no types
    """From and to, in UTC; either alone is completed to a day."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        starts, ends = self._moment("from"), self._moment("to")
        if starts is None and ends is None:
            return queryset
        if starts is None and ends is not None:
            starts = ends - timedelta(days=1)
        if ends is not None:
            queryset = queryset.filter(created__lt=ends)
        return queryset.filter(created__gte=starts)

    def _moment(self, side: str) -> datetime | None:
        date = self.used_parameters.get(f"created_{side}_0")
        time = self.used_parameters.get(f"created_{side}_1") or "00:00:00"
        try:
            moment = parse_datetime(f"{date} {time}")
        except ValueError:
            return None
        return None if moment is None else timezone.make_aware(moment)


class OutcomeFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("2", "2xx: served"), ("4", "4xx"), ("5", "5xx"), ("0", "the gateway died")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "0":
            return queryset.filter(status=0)
        if self.value() in ("2", "4", "5"):
            hundreds = 100 * int(self.value())
            return queryset.filter(status__gte=hundreds, status__lt=hundreds + 100)
        return queryset


class AttemptFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    title = "attempt"
    parameter_name = "attempt"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("first", "First attempts"), ("again", "Second and later: it failed over")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "first":
            return queryset.filter(attempt=1)
        return queryset.filter(attempt__gt=1) if self.value() == "again" else queryset


class NameFilter(TextFilter):  # type: ignore[misc]  # unfold ships no types
    """Equality with a name, typed in full: a list of all names would be a scan."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        name = (self.value() or "").strip()
        return queryset.filter(**{self.parameter_name: name}) if name else queryset


class ModelNameFilter(NameFilter):
    title = "model (its full name)"
    parameter_name = "model"


class UpstreamNameFilter(NameFilter):
    title = "upstream (its slug)"
    parameter_name = "upstream"


class EndUserFilter(NameFilter):
    title = "end user (the full name)"
    parameter_name = "end_user"


def is_search(request: HttpRequest) -> bool:
    """A request's id has an index of its own, and no need of a window of time."""
    return bool(request.GET.get("q", "").strip())


def window_words(request: HttpRequest) -> str:
    """What the list says about its window of time."""
    if is_search(request):
        return "One request's lines, of any age."
    if any(request.GET.get(name) for name in _RANGE):
        return "Lines between the times in the filters, UTC."
    words, _ = _WINDOWS.get(request.GET.get("recent", ""), _WINDOWS[""])
    return f"{words}, newest first, UTC."
