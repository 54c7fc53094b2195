"""Temporary raises of a budget, on its page. They are history: nobody deletes one."""

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.models import Budget, BudgetRaise
from runestone.admin.parts import TabularInline
from runestone.lib.money import format_usd, pico_from_usd

EXTRA_DIGITS_MAX = 28
PICO_PLACES = 12


class RaiseForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A new raise is filled in freely; of one that stands, only the end can be moved."""

    extra = forms.DecimalField(
        label="More, USD",
        min_value=Decimal("1e-12"),
        max_digits=EXTRA_DIGITS_MAX,
        decimal_places=PICO_PLACES,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal", "placeholder": "50.00"}),
    )

    class Meta:
        model = BudgetRaise
        fields: ClassVar = ["starts", "ends", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raised = self.instance
        if raised.pk:
            extra = format_usd(raised.extra_pico)
            self.initial["extra"] = extra.removeprefix("$").replace(",", "")
            is_over = raised.ends <= timezone.now()
            for name, field in self.fields.items():
                field.disabled = name != "ends" or is_over

    def clean_ends(self) -> Any:
        ends, now = self.cleaned_data["ends"], timezone.now()
        if self.instance.pk is None and ends <= now:
            raise ValidationError("It would be over already.")
        # Ended at once, whatever was typed: what has been granted under it was granted.
        return ends if self.fields["ends"].disabled else max(ends, now)

    def clean(self) -> None:
        super().clean()
        if "extra" in self.cleaned_data:
            self.instance.extra_pico = pico_from_usd(self.cleaned_data["extra"])


class RaiseInline(TabularInline):
    model = BudgetRaise
    form = RaiseForm
    extra = 0
    can_delete = False
    fields = ("extra", "starts", "ends", "reason", "by")
    readonly_fields = ("by",)
    verbose_name = "raise"

    def has_delete_permission(self, request: HttpRequest, obj: Budget | None = None) -> bool:
        return False
