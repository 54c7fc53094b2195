"""The budgets of one tenant, as a tab of its page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.datasets import BaseDataset

from billing.admin.budgets import BudgetColumns
from billing.models import Budget
from runestone.admin.parts import TabAdmin, column


class TenantBudgets(BudgetColumns, TabAdmin):
    list_display = ("linked_scope", "period", "limit", "use", "kind")
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(tenant_id=self.extra_context["object"])

    @column("scope")
    def linked_scope(self, obj: Budget) -> SafeString:
        url = reverse("admin:billing_budget_change", args=[obj.pk])
        return format_html('<a href="{}" class="text-link">{}</a>', url, self.scope(obj))


class TenantBudgetsDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = Budget
    model_admin = TenantBudgets
    tab = True
