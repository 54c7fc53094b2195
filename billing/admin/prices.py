"""Prices. A row that a ledger line may name is closed, never edited: receipts quote it."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.widgets import UnfoldBooleanSwitchWidget

from billing.models import TOKENS_PER_PRICE, Entry, Hold, Price
from runestone.admin.parts import DeskAdmin, column

STATE_COLOURS = {"valid": "success", "future": "info", "past": ""}
# How long the ledger is searched for a row's use; longer means that nobody can say, so: used.
USE_SEARCH_MS_MAX = 1000
_SUPERSEDE = "supersede"


class ValidityFilter(DropdownFilter):  # type: ignore[misc]  # unfold ships no types
    title = "validity"
    parameter_name = "validity"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("valid", "valid now"), ("future", "from a later day"), ("past", "past")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        if self.value() == "valid":
            return queryset.filter(Q(valid_to=None) | Q(valid_to__gt=now), valid_from__lte=now)
        if self.value() == "future":
            return queryset.filter(valid_from__gt=now)
        if self.value() == "past":
            return queryset.filter(valid_to__lte=now)
        return queryset


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    class Meta:
        model = Price
        fields: ClassVar = [
            "upstream",
            "model",
            "component",
            "usd",
            "per",
            "context_from",
            "service_tier",
            "valid_from",
            "valid_to",
            "source",
        ]
        labels: ClassVar = {
            "usd": "Price, USD",
            "per": "Per so many units",
            "context_from": "From input tokens",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "usd" in self.fields:
            self.initial["usd"] = plain(self.instance.usd)


class NewPriceForm(PriceForm):
    """Can close the row it follows in the same moment, which is how a price changes."""

    supersede = forms.BooleanField(
        required=False,
        label="Replace the present price",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Ends the open row of the same component where this one begins.",
    )

    def _post_clean(self) -> None:
        with transaction.atomic():
            if self.cleaned_data.get(_SUPERSEDE):
                self._close_predecessor()
            super()._post_clean()  # type: ignore[misc]  # unknown to the stubs
            if self.errors:
                transaction.set_rollback(True)

    def _close_predecessor(self) -> None:
        key = ("upstream", "model", "component", "context_from", "valid_from")
        data = self.cleaned_data
        if any(data.get(name) is None for name in key):
            return
        Price.objects.filter(
            upstream=data["upstream"],
            model=data["model"],
            component=data["component"],
            context_from=data["context_from"],
            service_tier=data["service_tier"],
            valid_from__lt=data["valid_from"],
            valid_to=None,
        ).update(valid_to=data["valid_from"])


@admin.register(Price)
class PriceAdmin(DeskAdmin):
    list_display = ("way", "part", "price", "tier", "state", "valid_from", "valid_to")
    sortable_by = ("valid_from", "valid_to")
    list_filter = (ValidityFilter, ("component", ChoicesDropdownFilter))
    search_fields = ("upstream", "model", "source")
    search_help_text = "Upstream, model or source"
    ordering = ("model", "upstream", "component", "context_from", "-valid_from")
    fieldsets = (
        (None, {"fields": ("used", ("upstream", "model"), ("component", "service_tier"))}),
        ("Price", {"fields": (("usd", "per"), "context_from")}),
        ("Validity", {"fields": ("valid_from", "valid_to", "source")}),
    )
    add_fieldsets = (
        (None, {"fields": (("upstream", "model"), ("component", "service_tier"))}),
        ("Price", {"fields": (("usd", "per"), "context_from")}),
        ("Validity", {"fields": ("valid_from", _SUPERSEDE, "valid_to", "source")}),
    )

    # --- What may be done ------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return obj is not None and super().has_delete_permission(request, obj) and not is_used(obj)

    def get_form(
        self, request: HttpRequest, obj: Price | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = NewPriceForm if obj is None else PriceForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Price | None = None) -> Any:
        if obj is None:
            return ()
        if not is_used(obj):
            return ("used",)
        return ("used", "price", "tier", *(set(PriceForm.Meta.fields) - {"valid_to"}))

    def get_fieldsets(self, request: HttpRequest, obj: Price | None = None) -> Any:
        if obj is None or not is_used(obj):
            return super().get_fieldsets(request, obj)
        return (
            (None, {"fields": ("used", ("upstream", "model"), "component", ("price", "tier"))}),
            ("Validity", {"fields": ("valid_from", "valid_to", "source")}),
        )

    # --- Columns ---------------------------------------------------------------------------------

    @column("in use")
    def used(self, obj: Price) -> str:
        if is_used(obj):
            return (
                "Yes: lines of the ledger may name it. Only its end can be set; "
                "for another price, add a row that replaces it."
            )
        return "No: it can still be edited or deleted."

    @column("model", header=True)
    def way(self, obj: Price) -> list[str]:
        return [obj.model, obj.upstream]

    # Without "ordering": the list's own five keys would each put their marks into the headings.
    @column("component")
    def part(self, obj: Price) -> str:
        return obj.component.replace("_", " ")

    @column("price, USD")
    def price(self, obj: Price) -> SafeString:
        unit = "1M tokens" if obj.per == TOKENS_PER_PRICE else f"{obj.per:,}"
        return format_html(
            '<span class="rs-number">${} <span class="rs-quiet">per {}</span></span>',
            plain(obj.usd),
            "request" if obj.per == 1 else unit,
        )

    @column("tier")
    def tier(self, obj: Price) -> SafeString:
        words = f"from {obj.context_from:,} tokens" if obj.context_from else "any length"
        tier = f"{obj.service_tier}, {words}" if obj.service_tier else words
        return format_html('<span class="rs-number">{}</span>', tier)

    @column("validity", label=STATE_COLOURS)
    def state(self, obj: Price) -> str:
        now = timezone.now()
        if obj.valid_to is not None and obj.valid_to <= now:
            return "past"
        return "future" if obj.valid_from > now else "valid"


def plain(usd: Any) -> str:
    """All its digits and no more, at least cents: 2.50, 0.000001."""
    text = f"{usd.normalize():f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def is_used(price: Price) -> bool:
    """Whether a ledger line names this row, or one in flight may. In doubt, yes."""
    # Asked several times for one page.
    known: bool | None = vars(price).get("_is_used")
    if known is None:
        known = vars(price)["_is_used"] = _find_use(price)
    return known


def _find_use(price: Price) -> bool:
    saved = Price.objects.filter(pk=price.pk).values("upstream", "model", "valid_from").first()
    if saved is None:
        return False
    ways = {"upstream": saved["upstream"], "model": saved["model"]}
    if Hold.objects.filter(**ways).exists():
        return True
    # No index knows price rows, so the search has an end.
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [USE_SEARCH_MS_MAX])
            lines = Entry.objects.filter(created__gte=saved["valid_from"], **ways)
            found = lines.filter(price_ids__contains=[price.pk]).exists()
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
            return found
    except OperationalError:
        return True
