"""Upstreams: where they are, what they are called with, and what they serve."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.views import ChangeList

from providers import standings
from providers.admin import standing
from providers.admin.credentials import CredentialInline
from providers.admin.routes import SWITCH_COLOURS, UpstreamRouteInline
from providers.models import Upstream
from providers.standings import Standing
from runestone.admin.parts import EMPTY, DeskAdmin, badge, column


class UpstreamList(ChangeList):  # type: ignore[misc]  # unfold ships no types
    """Its rows know how their upstreams do."""

    standing_words: str

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        found = standings.look(upstream.slug for upstream in self.result_list)
        for upstream in self.result_list:
            upstream.standing = found.get(upstream.slug)
        self.standing_words = "" if found or not self.result_list else standing.UNKNOWN


@admin.register(Upstream)
class UpstreamAdmin(DeskAdmin):
    list_display = (
        "who",
        "where",
        "credential_count",
        "switch",
        "breaker",
        "probe",
        "traffic",
    )
    list_before_template = "admin/providers/upstream/words.html"
    change_form_outer_before_template = "admin/providers/upstream/standing.html"
    list_filter = (("enabled", BooleanRadioFilter),)
    ordering = ("-enabled", "name")
    search_fields = ("slug", "name", "base_url")
    search_help_text = "Slug, name or base URL"
    inlines = (CredentialInline, UpstreamRouteInline)
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("dialect", "enabled"), "base_url")}),
        ("Bounds", {"fields": ("calls_max",)}),
        ("Quirks", {"fields": ("quirks",), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        enabled = Q(credentials__enabled=True)
        return (
            super()
            .get_queryset(request)
            .annotate(
                shared=Count("credentials", filter=enabled & Q(credentials__tenant=None)),
                brought=Count("credentials", filter=enabled & ~Q(credentials__tenant=None)),
            )
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Upstream | None = None) -> Any:
        # Prices and ledger lines name an upstream by its slug.
        return () if obj is None else ("slug",)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Upstream | None = None) -> Any:
        return {"slug": ("name",)} if obj is None else {}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return UpstreamList

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        upstream = self.get_object(request, object_id)
        if upstream is not None:
            found = standings.look([upstream.slug])
            extra_context = (extra_context or {}) | {
                "standing": standing.figures(
                    found.get(upstream.slug) if upstream.enabled else None
                ),
                "standing_words": "" if found else standing.UNKNOWN,
            }
        return super().change_view(request, object_id, form_url, extra_context)

    @column("upstream", ordering="name", header=True)
    def who(self, obj: Upstream) -> list[str]:
        return [obj.name, obj.slug]

    @column("dialect and base URL", ordering="base_url", header=True)
    def where(self, obj: Upstream) -> list[str]:
        return [obj.dialect, obj.base_url]

    @column("credentials")
    def credential_count(self, obj: Upstream) -> str:
        counts = vars(obj)
        kinds = [f"{counts[kind]} {kind}" for kind in ("shared", "brought") if counts[kind]]
        return ", ".join(kinds) or EMPTY

    @column("state", label=SWITCH_COLOURS)
    def switch(self, obj: Upstream) -> str:
        return "enabled" if obj.enabled else "disabled"

    @column("breaker")
    def breaker(self, obj: Upstream) -> SafeString | str:
        known = _standing(obj)
        return badge(*standing.breaker(known)) if known else EMPTY

    @column("last probe")
    def probe(self, obj: Upstream) -> SafeString | str:
        known = _standing(obj)
        return badge(*standing.probe(known)) if known and known.probe else EMPTY

    @column(f"calls in {standing.MINUTES}")
    def traffic(self, obj: Upstream) -> SafeString | str:
        known = _standing(obj)
        if known is None or not known.figures.calls:
            return format_html('<span class="rs-number">{}</span>', "0" if known else EMPTY)
        figures = known.figures
        return format_html(
            '<span class="rs-number">{}<small class="rs-quiet">'
            '<span class="{}">{} failed</span>{}</small></span>',
            f"{figures.calls:,}",
            standing.tone(figures),
            standing.share_failed(figures),
            f", {standing.first_byte(figures)}" if figures.first_bytes else "",
        )


def _standing(upstream: Upstream) -> Standing | None:
    """None, too, of what is disabled: no calls go there, so nobody finds out."""
    known: Standing | None = vars(upstream)["standing"]
    return known if upstream.enabled else None
