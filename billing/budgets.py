"""Which budgets a call counts against, in memory; and their windows, opened when first needed."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from billing.periods import bounds
from runestone.lib.database import Connection
from runestone.lib.money import format_usd


class ActiveBudget(Struct, frozen=True, kw_only=True):
    id: int
    tenant_id: int
    project_id: int | None
    api_key_id: int | None
    period: str
    limit_pico: int
    hard: bool
    time_zone: str

    @property
    def scope(self) -> str:
        if self.api_key_id is not None:
            return "API key"
        return "project" if self.project_id is not None else "tenant"

    def describe(self) -> str:
        return f"the {self.scope}'s budget of {format_usd(self.limit_pico)} per {self.period}"


class BudgetBook:
    """All active budgets, by tenant."""

    def __init__(self) -> None:
        self._budgets: dict[int, ActiveBudget] = {}
        self._by_tenant: dict[int, list[ActiveBudget]] = {}

    def __getitem__(self, budget_id: int) -> ActiveBudget:
        return self._budgets[budget_id]

    def applying(
        self, tenant_id: int, project_id: int | None, api_key_id: int
    ) -> list[ActiveBudget]:
        """Every budget that a call with this key counts against, all of them at once."""
        return [
            budget
            for budget in self._by_tenant.get(tenant_id, ())
            if budget.project_id in (None, project_id) and budget.api_key_id in (None, api_key_id)
        ]

    async def reload(self, connection: Connection) -> None:
        budgets = [_budget(*row) for row in await connection.fetch(_BUDGETS)]
        by_tenant: dict[int, list[ActiveBudget]] = {}
        for budget in budgets:
            by_tenant.setdefault(budget.tenant_id, []).append(budget)
        self._budgets = {budget.id: budget for budget in budgets}
        self._by_tenant = by_tenant


async def open_windows(connection: Connection, budgets: Iterable[ActiveBudget]) -> None:
    """Makes the present window of each budget, where another process has not made it yet."""
    now = datetime.now(UTC)
    for budget in budgets:
        window = bounds(budget.period, ZoneInfo(budget.time_zone), now)
        await connection.fetch(_OPEN_WINDOW, [window.starts, window.ends, budget.id])


def _budget(*row: object) -> ActiveBudget:
    names = (
        "id", "tenant_id", "project_id", "api_key_id", "period", "limit_pico", "hard", "time_zone",
    )  # fmt: skip
    fields = dict(zip(names, row, strict=True))
    fields["limit_pico"] = int(str(fields["limit_pico"]))
    return ActiveBudget(**fields)  # type: ignore[arg-type]  # a row's columns


_BUDGETS = """
    SELECT b.id, b.tenant_id, b.project_id, b.api_key_id, b.period, b.limit_pico, b.hard,
           t.time_zone
    FROM billing_budget b JOIN tenants_tenant t ON t.id = b.tenant_id
    WHERE b.active ORDER BY b.id
"""
# The limit is the budget's at this moment, not our copy of it.
_OPEN_WINDOW = """
    INSERT INTO billing_budgetwindow
        (budget_id, starts, ends, limit_pico, posted_pico, pending_pico)
    SELECT id, %s, %s, limit_pico, 0, 0 FROM billing_budget WHERE id = %s
    ON CONFLICT (budget_id, starts) DO NOTHING
    RETURNING id
"""
