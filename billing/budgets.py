"""Budgets beside the hot path: opening their windows, and telling a caller which one refused.

Which budgets a call counts against is decided by `billing_hold` itself, under its locks, so that a
new or changed budget counts from the next call on.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from billing.periods import bounds
from runestone.lib.database import Connection
from runestone.lib.money import format_usd


async def open_window(connection: Connection, budget_id: int, end_user: str | None) -> None:
    """Makes the budget's present window, if no other process has made it meanwhile."""
    [(period, time_zone)] = await connection.fetch(_PERIOD, [budget_id])
    window = bounds(period, ZoneInfo(time_zone), datetime.now(UTC))
    await connection.fetch(_OPEN_WINDOW, [end_user, window.starts, window.ends, budget_id])


async def describe(connection: Connection, budget_id: int, end_user: str | None) -> str:
    """A budget in words, for the caller that it refused."""
    [(limit, period, scope, model, per_end_user)] = await connection.fetch(_DESCRIBE, [budget_id])
    per = "in total" if period == "total" else f"per {period}"
    amount = f"{format_usd(int(limit))} {per}"
    only = f" for the model `{model}`" if model else ""
    if not per_end_user:
        return f"the {scope}'s budget of {amount}{only}"
    if end_user is None:
        return f"the budget of calls that name no end user, {amount}{only}"
    return f"the budget of end user '{end_user}', {amount}{only}"


_PERIOD = """
    SELECT b.period, t.time_zone
    FROM billing_budget b JOIN tenants_tenant t ON t.id = b.tenant_id WHERE b.id = %s
"""
_OPEN_WINDOW = """
    INSERT INTO billing_budgetwindow
        (budget_id, end_user, starts, ends, limit_pico, posted_pico, pending_pico)
    SELECT id, CASE WHEN per_end_user THEN coalesce(%s, '') ELSE '' END, %s, %s, limit_pico, 0, 0
    FROM billing_budget WHERE id = %s
    ON CONFLICT (budget_id, end_user, starts) DO NOTHING
    RETURNING id
"""
# The limit as it stands, raises included.
_DESCRIBE = """
    SELECT limit_pico + billing_raised(id, clock_timestamp()), period,
           CASE WHEN api_key_id IS NOT NULL THEN 'API key'
                WHEN project_id IS NOT NULL THEN 'project'
                ELSE 'tenant' END,
           model, per_end_user
    FROM billing_budget WHERE id = %s
"""
