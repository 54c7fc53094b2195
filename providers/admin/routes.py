"""Routes, on the page of the upstream that they lead to and of the model that they serve."""

from providers.models import Route
from runestone.admin.parts import TabularInline

SWITCH_COLOURS = {"enabled": "success", "disabled": "warning"}


class RouteInline(TabularInline):
    model = Route
    extra = 0
    ordering = ("priority", "id")
    fields = ("model", "upstream", "upstream_model", "priority", "weight", "enabled")
    autocomplete_fields = ("model", "upstream")
