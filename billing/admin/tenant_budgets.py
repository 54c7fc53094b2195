"""The budgets of one tenant, as a tab of its page."""

from typing import Any

from django.http import HttpRequest
from unfold.datasets import BaseDataset

from billing.admin.budgets import BudgetColumns
from billing.models import Budget
from runestone.admin.parts import TabAdmin


class TenantBudgets(BudgetColumns, TabAdmin):
    list_display = ("scope", "period", "limit", "use", "kind")
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(tenant_id=self.extra_context["object"])


class TenantBudgetsDataset(BaseDataset):  # type: ignore[misc]  # unfold ships no types
    model = Budget
    model_admin = TenantBudgets
    tab = True
