"""Budgets in dollars, and what their windows hold. Amounts stay exact from form to row."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesDropdownFilter,
)
from unfold.datasets import BaseDataset
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.admin.ledger_filters import EndUserFilter, ModelNameFilter
from billing.admin.raises import RaiseInline
from billing.models import Budget, BudgetAlert, BudgetWindow
from runestone.admin.parts import EMPTY, DeskAdmin, ReadOnlyAdmin, TabAdmin, column, usd
from runestone.lib.money import format_usd, pico_from_usd

ACTIVE_COLOURS = {"enforced": "success", "watching": "info", "off": ""}
# As many as a Decimal keeps exactly: ten thousand million million dollars.
LIMIT_DIGITS_MAX = 28
PICO_PLACES = 12
NEAR_PERCENT = 80


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    limit = forms.DecimalField(
        label="Limit, USD",
        min_value=0,
        max_digits=LIMIT_DIGITS_MAX,
        decimal_places=PICO_PLACES,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal", "placeholder": "100.00"}),
        help_text="Per period, exact to 12 decimal places.",
    )

    class Meta:
        model = Budget
        fields: ClassVar = [
            "tenant", "project", "api_key", "model", "per_end_user", "period", "hard", "active",
            "alert_percents", "forecast_alert",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            # Plain digits: a Decimal would show itself as 1E-12.
            limit = format_usd(self.instance.limit_pico)
            self.initial["limit"] = limit.removeprefix("$").replace(",", "")

    def clean(self) -> None:
        super().clean()
        if "limit" in self.cleaned_data:
            self.instance.limit_pico = pico_from_usd(self.cleaned_data["limit"])


class BudgetWindowColumns(ReadOnlyAdmin):
    list_display: tuple[str, ...] = (
        "starts",
        "ends",
        "end_user",
        "limit",
        "posted",
        "pending",
        "remaining",
        "use",
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("budget__raises")

    @column("limit", ordering="limit_pico")
    def limit(self, obj: BudgetWindow) -> SafeString:
        return usd(obj.limit_at(timezone.now()))

    @column("posted", ordering="posted_pico")
    def posted(self, obj: BudgetWindow) -> SafeString:
        return usd(obj.posted_pico)

    @column("pending", ordering="pending_pico")
    def pending(self, obj: BudgetWindow) -> SafeString:
        return usd(obj.pending_pico)

    @column("remaining")
    def remaining(self, obj: BudgetWindow) -> SafeString:
        return usd(obj.remaining_at(timezone.now()))

    @column("use")
    def use(self, obj: BudgetWindow) -> SafeString:
        return meter(obj)


class BudgetWindows(BudgetWindowColumns, TabAdmin):
    """The windows of one budget, under its form."""

    list_per_page = 12
    ordering = ("-starts", "-posted_pico")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(budget_id=self.extra_context["object"])


class BudgetWindowsDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = BudgetWindow
    model_admin = BudgetWindows
    title = "Windows"


class BudgetAlerts(TabAdmin):
    """What was told of one budget, under its form."""

    list_display = ("created", "end_user", "told", "mail")
    list_select_related = ("window",)
    ordering = ("-created", "-percent")

    @column("end user")
    def end_user(self, obj: BudgetAlert) -> str:
        return obj.window.end_user

    @column("alert")
    def told(self, obj: BudgetAlert) -> str:
        return obj.words

    @column("mail")
    def mail(self, obj: BudgetAlert) -> str:
        if obj.mailed is None:
            return "not sent"
        return f"to {obj.recipients}" if obj.recipients else "nobody to send it to"

    def get_queryset(self, request: HttpRequest) -> Any:
        budget = self.extra_context["object"]
        return super().get_queryset(request).filter(window__budget_id=budget)


class BudgetAlertsDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = BudgetAlert
    model_admin = BudgetAlerts
    title = "Alerts"


@admin.register(BudgetWindow)
class BudgetWindowAdmin(BudgetWindowColumns):
    list_display = ("budget", "end_user", "starts", "limit", "posted", "pending", "use")
    list_filter = (("budget__tenant", AutocompleteSelectFilter), EndUserFilter)
    list_select_related = (
        "budget__tenant",
        "budget__project__tenant",
        "budget__api_key",
    )
    ordering = ("-starts", "budget")
    fields = (
        "budget",
        "end_user",
        ("starts", "ends"),
        ("limit", "posted"),
        ("pending", "remaining"),
        "use",
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related(*self.list_select_related)


class BudgetColumns:
    """Budgets with the window that is open now, in two queries more for the whole list."""

    def get_queryset(self, request: HttpRequest) -> Any:
        now = timezone.now()
        # One for each end user would be too many to show, and to read.
        is_open = BudgetWindow.objects.filter(
            starts__lte=now, ends__gt=now, budget__per_end_user=False
        )
        budgets = super().get_queryset(request)  # type: ignore[misc]  # a mixin for admins
        return budgets.select_related("tenant", "project__tenant", "api_key").prefetch_related(
            "raises", Prefetch("windows", is_open, to_attr="open_windows")
        )

    @column("scope")
    def scope(self, obj: Budget) -> str:
        scope = "Whole tenant"
        if obj.api_key is not None:
            scope = f"Key {obj.api_key.name}"
        elif obj.project is not None:
            scope = f"Project {obj.project.name}"
        if obj.model:
            scope += f", {obj.model}"
        return f"{scope}, each end user" if obj.per_end_user else scope

    @column("limit", ordering="limit_pico")
    def limit(self, obj: Budget) -> SafeString:
        raised = obj.raised_at(timezone.now())
        limit = usd(obj.limit_pico + raised)
        if not raised:
            return limit
        note = f"raised by {format_usd(raised)}"
        return format_html('{}<small class="rs-warn">{}</small>', limit, note)

    @column("this period")
    def use(self, obj: Budget) -> SafeString:
        if obj.per_end_user:
            return format_html('<span class="rs-quiet">{}</span>', "one for each end user")
        windows: list[BudgetWindow] = vars(obj)["open_windows"]
        if not windows:
            return format_html('<span class="rs-quiet">{}</span>', "no calls yet")
        return meter(windows[0])

    @column("kind", label=ACTIVE_COLOURS)
    def kind(self, obj: Budget) -> str:
        if not obj.active:
            return "off"
        return "enforced" if obj.hard else "watching"


@admin.register(Budget)
class BudgetAdmin(BudgetColumns, DeskAdmin):
    form = BudgetForm
    list_display = ("scope", "tenant", "period", "limit", "use", "kind")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ModelNameFilter,
        ("per_end_user", BooleanRadioFilter),
        ("period", ChoicesDropdownFilter),
        ("active", BooleanRadioFilter),
    )
    search_fields = ("tenant__name", "project__name", "api_key__name")
    search_help_text = "Tenant, project or key"
    autocomplete_fields = ("tenant", "project", "api_key")
    inlines = (RaiseInline,)
    change_form_datasets = (BudgetWindowsDataset, BudgetAlertsDataset)
    fieldsets = (
        (
            "Scope",
            {
                "fields": ("tenant", ("project", "api_key"), ("model", "per_end_user")),
                "description": "The whole tenant, or one project or key within it; all models, or "
                "one; altogether, or each end user.",
            },
        ),
        ("Limit", {"fields": (("limit", "period"), ("hard", "active"))}),
        ("Alerts", {"fields": (("alert_percents", "forecast_alert"),)}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        return False  # its windows are history; a budget is switched off

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        # Its windows counted for this scope and period.
        scope = ("tenant", "project", "api_key", "model", "per_end_user", "period")
        return () if obj is None else scope

    def get_inlines(self, request: HttpRequest, obj: Budget | None) -> Any:
        return () if obj is None else self.inlines

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        for raised in formset.new_objects:
            raised.by_id = request.user.pk
        formset.save()

    def get_changeform_datasets(self, request: HttpRequest) -> Any:
        match = request.resolver_match
        return () if match is None or "object_id" not in match.kwargs else self.change_form_datasets


def meter(window: BudgetWindow) -> SafeString:
    """A bar of what is posted and what is pending, with the same in words below it."""
    limit = window.limit_at(timezone.now())
    spent = _percent(window.posted_pico, limit)
    pending = _percent(window.pending_pico, limit)
    taken = spent + pending
    level = "over" if taken >= 100 else "near" if taken >= NEAR_PERCENT else "fine"
    return format_html(
        '<span class="rs-meter" data-level="{}"><span class="rs-bar" role="img" aria-label="{}">'
        '<i style="width:{}%"></i><i style="width:{}%"></i></span><small>{}</small></span>',
        level,
        f"{taken} % of the limit",
        min(spent, 100),
        min(pending, 100 - min(spent, 100)),
        _in_words(limit, limit - window.posted_pico - window.pending_pico, taken),
    )


def _percent(part: int, whole: int) -> int:
    if whole <= 0:
        return 100 if part > 0 else 0
    # Rounded up: something is never shown as nothing.
    return -(-100 * part // whole)


def _in_words(limit: int, remaining: int, percent: int) -> str:
    words = f"{percent} % · {format_usd(remaining)} left"
    if remaining < 0:
        words = f"{percent} % · {format_usd(-remaining)} over"
    return words if limit else f"{EMPTY} · limit is $0.00"
