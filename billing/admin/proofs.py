"""Whether the books are right: every verification that beat has run, and what each check says."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.models import Proof
from runestone.admin.parts import PageAdmin, ReadOnlyAdmin, column

VERDICT_COLOURS = {"right": "success", "wrong": "danger"}


class OutcomeFilter(admin.SimpleListFilter):
    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("wrong", "with faults"), ("right", "without faults")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "wrong":
            return queryset.filter(faults__gt=0)
        return queryset.filter(faults=0) if self.value() == "right" else queryset


@admin.register(Proof)
class ProofAdmin(PageAdmin, ReadOnlyAdmin):
    page_template = "admin/billing/proof/page.html"
    page_missing = "There is no such proof; they are kept for a while only."
    list_display = ("started", "verdict", "fault_count", "explained", "scope", "line_count", "took")
    list_filter = (OutcomeFilter,)
    ordering = ("-started",)
    sortable_by = ("started",)

    @column("the books are", label=VERDICT_COLOURS)
    def verdict(self, obj: Proof) -> str:
        return "wrong" if obj.faults else "right"

    @column("faults")
    def fault_count(self, obj: Proof) -> SafeString:
        return _number(f"{obj.faults:,}")

    @column("explained")
    def explained(self, obj: Proof) -> SafeString:
        return _number(f"{obj.departures:,}")

    @column("calls admitted")
    def scope(self, obj: Proof) -> str:
        return _scope(obj)

    @column("ledger lines")
    def line_count(self, obj: Proof) -> SafeString:
        return _number(f"{obj.lines:,}")

    @column("took")
    def took(self, obj: Proof) -> SafeString:
        return _number(_seconds(obj.took_ms))

    def page(self, request: HttpRequest, obj: Proof) -> dict[str, Any]:
        return {
            "title": f"Proof of {obj}",
            "original": obj,
            "scope": _scope(obj),
            "took": _seconds(obj.took_ms),
            "faults": f"{obj.faults:,}",
            "departures": f"{obj.departures:,}",
            "lines": f"{obj.lines:,}",
            # What is wrong comes first.
            "checks": sorted(map(_check, obj.checks), key=lambda check: not check["faults"]),
        }


def _check(check: dict[str, Any]) -> dict[str, Any]:
    """A verdict as it was stored (billing/verify.py), its findings by reason."""
    by_reason: dict[str, list[Any]] = {}
    for finding in check["findings"]:
        by_reason.setdefault(finding["reason"], []).append(finding)
    return {
        **check,
        "took": _seconds(check["took_ms"]),
        "told": (faults := by_reason.get("", [])),
        "untold": _more(check["faults"], faults),
        "departures": [
            {
                "reason": reason,
                "count": f"{count:,}",
                "examples": (examples := by_reason.get(reason, [])),
                "untold": _more(count, examples),
            }
            for reason, count in check["departures"].items()
        ],
    }


def _more(count: int, told: list[Any]) -> str:
    return f"{count - len(told):,}" if count > len(told) else ""


def _scope(proof: Proof) -> str:
    return "at any time" if proof.since is None else f"since {proof.since:%Y-%m-%d %H:%M}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1_000:,.1f} s"


def _number(text: str) -> SafeString:
    return format_html('<span class="rs-number">{}</span>', text)
