"""What is going on right now: money held for running calls, and the processes that hold it."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from billing.models import GatewayInstance, Hold
from runestone.admin.parts import InfinitePaginator, ReadOnlyAdmin, column, usd
from runestone.lib.ids import request_name

INSTANCE_COLOURS = {"alive": "success", "silent": "warning", "fenced": "danger"}
# Heartbeats come every few seconds; the sweeper's own limit is a setting.
SILENT_AFTER = timedelta(seconds=15)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("created", "call", "tenant", "way", "held", "estimate", "instance")
    list_filter = (("tenant", AutocompleteSelectFilter), ("instance", AutocompleteSelectFilter))
    list_select_related = ("tenant", "instance")
    ordering = ("-created",)
    sortable_by = ("created",)
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = (
        "created",
        "call",
        ("tenant", "project", "api_key"),
        ("upstream", "model"),
        ("held", "estimate"),
        "instance",
    )

    @column("request")
    def call(self, obj: Hold) -> SafeString:
        return format_html('<span class="rs-mono">{}</span>', request_name(obj.request_id))

    @column("model", header=True)
    def way(self, obj: Hold) -> list[str]:
        return [obj.model, obj.upstream]

    @column("held", ordering="amount_pico")
    def held(self, obj: Hold) -> SafeString:
        return usd(obj.amount_pico)

    @column("if it dies")
    def estimate(self, obj: Hold) -> SafeString:
        return usd(obj.estimate_pico)


@admin.register(GatewayInstance)
class GatewayInstanceAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "state", "started", "heartbeat", "fenced", "hold_count")
    search_fields = ("host",)
    search_help_text = "Host"
    fields = ("host", "pid", "state", "started", "heartbeat", "fenced", "hold_count")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(holds=Count("hold"))

    @column("state", label=INSTANCE_COLOURS)
    def state(self, obj: GatewayInstance) -> str:
        if obj.fenced is not None:
            return "fenced"
        return "silent" if obj.heartbeat < timezone.now() - SILENT_AFTER else "alive"

    @column("holds")
    def hold_count(self, obj: GatewayInstance) -> SafeString:
        count = vars(obj)["holds"]
        return format_html('<span class="rs-number">{}</span>', f"{count:,}")
