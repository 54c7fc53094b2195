"""Routes, on the page of the upstream that they lead to and of the model that they serve."""

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString

from providers.models import Model, Route
from runestone.admin.parts import EMPTY, TabularInline, chips, column

SWITCH_COLOURS = {"enabled": "success", "disabled": "warning"}


class RouteInline(TabularInline):
    model = Route
    extra = 0
    ordering = ("priority", "id")
    fields = ("model", "upstream", "upstream_model", "priority", "weight", "enabled")
    autocomplete_fields = ("model", "upstream")


class UpstreamRouteInline(RouteInline):
    """With what callers may call each model besides its own name."""

    fields = ("model", "aliases", "upstream_model", "priority", "weight", "enabled")
    readonly_fields = ("aliases",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("model__aliases")

    @column("also called")
    def aliases(self, obj: Route) -> SafeString | str:
        return alias_chips(obj.model) if obj.pk else EMPTY


def alias_chips(model: Model) -> SafeString | str:
    return chips(alias.name for alias in model.aliases.all())
