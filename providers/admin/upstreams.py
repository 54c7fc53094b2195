"""Upstreams: where they are, what they are called with, and what they serve."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest
from unfold.contrib.filters.admin import BooleanRadioFilter

from providers.admin.credentials import CredentialInline
from providers.admin.routes import SWITCH_COLOURS, RouteInline
from providers.models import Upstream
from runestone.admin.parts import EMPTY, DeskAdmin, column


@admin.register(Upstream)
class UpstreamAdmin(DeskAdmin):
    list_display = ("name", "slug", "dialect", "base_url", "credential_count", "switch")
    list_filter = (("enabled", BooleanRadioFilter),)
    search_fields = ("slug", "name", "base_url")
    search_help_text = "Slug, name or base URL"
    inlines = (CredentialInline, RouteInline)
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

    @column("credentials")
    def credential_count(self, obj: Upstream) -> str:
        counts = vars(obj)
        kinds = [f"{counts[kind]} {kind}" for kind in ("shared", "brought") if counts[kind]]
        return ", ".join(kinds) or EMPTY

    @column("state", ordering="enabled", label=SWITCH_COLOURS)
    def switch(self, obj: Upstream) -> str:
        return "enabled" if obj.enabled else "disabled"
