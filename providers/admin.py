"""The catalogue's pages: upstreams, the models they serve, and the routes between them."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, BooleanRadioFilter
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldBooleanSwitchWidget,
)

from providers.models import Capability, Model, Route, Upstream
from runestone.admin.parts import EMPTY, DeskAdmin, TabularInline, column

CREDENTIAL_COLOURS = {"stored": "success", "none": ""}
SWITCH_COLOURS = {"enabled": "success", "disabled": "warning"}


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """The credential goes in and never comes out: nothing of it is ever rendered."""

    credential = forms.CharField(
        label="New credential",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        help_text="The vendor's API key. It is encrypted and never shown again. "
        "Leave empty to keep the one that is stored.",
    )
    clear_credential = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Forget the one that is stored.",
    )

    class Meta:
        model = Upstream
        fields: ClassVar = ["slug", "name", "dialect", "base_url", "quirks", "enabled"]

    def clean(self) -> None:
        super().clean()
        data = self.cleaned_data
        clears, secret = data.get("clear_credential"), data.get("credential")
        if clears and secret:
            self.add_error("clear_credential", "Either enter a credential or clear it.")
        is_moved = "base_url" in self.changed_data
        if self.instance.credential_sealed and is_moved and not (secret or clears):
            self.add_error(
                "credential",
                "The stored credential is bound to the old base URL and must not travel to "
                "another address unseen. Enter it again, or clear it.",
            )


class RouteInline(TabularInline):
    model = Route
    extra = 0
    ordering = ("priority", "id")
    fields = ("model", "upstream", "upstream_model", "priority", "weight", "enabled")
    autocomplete_fields = ("model", "upstream")


@admin.register(Upstream)
class UpstreamAdmin(DeskAdmin):
    form = UpstreamForm
    list_display = ("name", "slug", "dialect", "base_url", "credential_state", "switch")
    list_filter = (("enabled", BooleanRadioFilter),)
    search_fields = ("slug", "name", "base_url")
    search_help_text = "Slug, name or base URL"
    inlines = (RouteInline,)
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("dialect", "enabled"))}),
        (
            "Address and credential",
            {"fields": ("base_url", "credential_state", "credential", "clear_credential")},
        ),
        ("Quirks", {"fields": ("quirks",), "classes": ("collapse",)}),
    )
    add_fieldsets = (
        (None, {"fields": (("name", "slug"), ("dialect", "enabled"))}),
        ("Address and credential", {"fields": ("base_url", "credential")}),
        ("Quirks", {"fields": ("quirks",), "classes": ("collapse",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Upstream | None = None) -> Any:
        # Prices and ledger lines name an upstream by its slug.
        return ("credential_state",) if obj is None else ("credential_state", "slug")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Upstream | None = None) -> Any:
        return {"slug": ("name",)} if obj is None else {}

    def save_model(self, request: HttpRequest, obj: Upstream, form: Any, change: bool) -> None:
        secret = form.cleaned_data.get("credential")
        if secret or form.cleaned_data.get("clear_credential"):
            obj.store_credential(secret)
        super().save_model(request, obj, form, change)

    @column("present credential", label=CREDENTIAL_COLOURS)
    def credential_state(self, obj: Upstream) -> str:
        return "stored" if obj.credential_sealed else "none"

    @column("state", ordering="enabled", label=SWITCH_COLOURS)
    def switch(self, obj: Upstream) -> str:
        return "enabled" if obj.enabled else "disabled"


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    capabilities = forms.MultipleChoiceField(
        choices=Capability, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )


@admin.register(Model)
class ModelAdmin(DeskAdmin):
    form = ModelForm
    list_display: tuple[str, ...] = (
        "name",
        "switch",
        "capability_chips",
        "window_tokens",
        "output_tokens",
        "routing",
    )
    list_filter = (("enabled", BooleanRadioFilter), ("routes__upstream", AutocompleteSelectFilter))
    search_fields = ("name", "family")
    search_help_text = "Name or family"
    inlines = (RouteInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "enabled"),
                    ("family", "owned_by"),
                    ("context_window", "max_output_tokens"),
                    "capabilities",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("routes__upstream")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        # Prices and ledger lines name a model by its name.
        return () if obj is None else ("name",)

    @column("state", ordering="enabled", label=SWITCH_COLOURS)
    def switch(self, obj: Model) -> str:
        return "enabled" if obj.enabled else "disabled"

    @column("capabilities")
    def capability_chips(self, obj: Model) -> SafeString:
        chips = format_html_join(
            "", '<span class="rs-chip">{}</span>', ([each] for each in obj.capabilities)
        )
        return format_html('<span class="rs-chips">{}</span>', chips)

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
