"""Models, and the routes by which they are reached."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, BooleanRadioFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from providers.admin.routes import SWITCH_COLOURS, RouteInline, alias_chips
from providers.models import Alias, Capability, Model
from runestone.admin.parts import EMPTY, DeskAdmin, TabularInline, chips, column


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    capabilities = forms.MultipleChoiceField(
        choices=Capability, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )


class AliasInline(TabularInline):
    model = Alias
    extra = 0


@admin.register(Model)
class ModelAdmin(DeskAdmin):
    form = ModelForm
    list_display: tuple[str, ...] = (
        "name",
        "aliases",
        "switch",
        "capability_chips",
        "window_tokens",
        "output_tokens",
        "routing",
    )
    list_filter = (("enabled", BooleanRadioFilter), ("routes__upstream", AutocompleteSelectFilter))
    search_fields = ("name", "family", "aliases__name")
    search_help_text = "Name, alias or family"
    inlines = (RouteInline, AliasInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "enabled"),
                    ("family", "owned_by"),
                    ("context_window", "max_output_tokens", "retires"),
                    "capabilities",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("routes__upstream", "aliases")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        # Prices and ledger lines name a model by its name.
        return () if obj is None else ("name",)

    @column("also called")
    def aliases(self, obj: Model) -> SafeString | str:
        return alias_chips(obj)

    @column("state", ordering="enabled", label=SWITCH_COLOURS)
    def switch(self, obj: Model) -> str:
        return "enabled" if obj.enabled else "disabled"

    @column("capabilities")
    def capability_chips(self, obj: Model) -> SafeString | str:
        return chips(obj.capabilities)

    @column("context window", ordering="context_window")
    def window_tokens(self, obj: Model) -> SafeString:
        return _tokens(obj.context_window)

    @column("max output", ordering="max_output_tokens")
    def output_tokens(self, obj: Model) -> SafeString:
        return _tokens(obj.max_output_tokens)

    @column("routes, in order")
    def routing(self, obj: Model) -> SafeString | str:
        routes = sorted(obj.routes.all(), key=lambda route: (route.priority, route.pk))
        words = [
            route.upstream.slug + ("" if route.enabled and route.upstream.enabled else " (off)")
            for route in routes
        ]
        return ", ".join(words) or format_html(
            '<span class="rs-warn">{}</span>', "none: cannot be called"
        )


def _tokens(number: int | None) -> SafeString:
    return format_html(
        '<span class="rs-number">{}</span>', EMPTY if number is None else f"{number:,}"
    )
