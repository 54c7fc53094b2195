"""The money statements, called as the gateway calls them, and the books they must keep balanced."""

import json
from typing import Any, Protocol
from uuid import UUID

from django.utils import timezone

from billing.models import Budget, BudgetWindow, GatewayInstance
from billing.periods import bounds
from runestone.lib.ids import uuid7
from tenants.models import ApiKey, Project, Tenant


class Cursor(Protocol):
    """Django's or psycopg's."""

    def execute(self, statement: Any, parameters: Any = ...) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class Account:
    """A tenant with a project and a key, and attempts of theirs."""

    def __init__(self, name: str, instance: GatewayInstance) -> None:
        slug = f"{name.lower()}-{uuid7().hex[-12:]}"
        self.tenant = Tenant.objects.create(slug=slug, name=name)
        self.project = Project.objects.create(tenant=self.tenant, slug="main", name="Main")
        self.api_key, _ = ApiKey.mint(tenant=self.tenant, project=self.project, name="test")
        self.instance = instance

    def budget(self, limit: int, *, window: bool = True, **fields: Any) -> Budget:
        """A hard budget of the tenant, unless `fields` say otherwise, its window open."""
        made = Budget.objects.create(
            **{"tenant": self.tenant, "limit_pico": limit, "period": "total", **fields}
        )
        if window:
            open_window(made)
        return made

    def attempt(self, amount: int | None, **fields: Any) -> dict[str, Any]:
        return {
            "id": str(uuid7()),
            "request_id": str(uuid7()),
            "tenant_id": self.tenant.id,
            "project_id": self.project.id,
            "api_key_id": self.api_key.id,
            "upstream": "nobody",
            "model": "m",
            "end_user": None,
            "service_tier": "",
            "attempt": 1,
            "byok": False,
            "amount_pico": amount,
            "estimate_pico": None if amount is None else amount // 2,
            **fields,
        }


def open_window(budget: Budget, end_user: str = "") -> BudgetWindow:
    starts, ends = bounds(budget.period, budget.tenant.zone, timezone.now())
    return BudgetWindow.objects.create(
        budget=budget, end_user=end_user, starts=starts, ends=ends, limit_pico=budget.limit_pico
    )


def window_of(budget: Budget, end_user: str = "") -> tuple[int, int]:
    """What is posted and what is pending."""
    window = budget.windows.get(end_user=end_user)
    return window.posted_pico, window.pending_pico


QUANTITIES = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "web_searches",
)


def line(attempt: dict[str, Any], amount: int | None, **fields: Any) -> dict[str, Any]:
    """What an attempt is settled, or corrected, with."""
    return {
        "id": attempt["id"],
        "kind": "charge",
        "amount_pico": amount,
        "price_state": "unpriced" if amount is None else "priced",
        "price_ids": [],
        **dict.fromkeys(QUANTITIES, 0),
        "service_tier": "",
        "usage_source": "reported",
        "status": 200,
        "error": "",
        "streamed": False,
        "upstream_request_id": "",
        "first_byte_ms": None,
        "duration_ms": 1,
        **fields,
    }


def hold(cursor: Cursor, instance: GatewayInstance, *attempts: dict[str, Any]) -> list[int]:
    cursor.execute("SELECT billing_hold(%s, %s::json)", [instance.id, json.dumps(attempts)])
    return list(cursor.fetchone()[0])


def settle(cursor: Cursor, *lines: dict[str, Any]) -> list[UUID]:
    cursor.execute("SELECT billing_settle(%s::json)", [json.dumps(lines)])
    return list(cursor.fetchone()[0])


def correct(cursor: Cursor, *bills: dict[str, Any], only_orphans: bool = False) -> list[UUID]:
    cursor.execute("SELECT billing_correct(%s::json, %s)", [json.dumps(bills), only_orphans])
    return list(cursor.fetchone()[0])


def sweep(cursor: Cursor, policy: str = "estimate", age: str = "1 hour", most: int = 100) -> int:
    cursor.execute("SELECT billing_sweep(%s, %s::interval, %s)", [policy, age, most])
    count: int = cursor.fetchone()[0]
    return count


def out_of_balance(cursor: Cursor) -> list[Any]:
    """Windows whose sums are not those of their holds and their ledger lines."""
    cursor.execute("""
        SELECT * FROM (
            SELECT w.id, w.pending_pico, w.posted_pico,
                   (SELECT coalesce(sum(h.amount_pico), 0) FROM billing_hold h
                    WHERE w.id = ANY(h.windows)) AS held,
                   (SELECT coalesce(sum(e.amount_pico), 0) FROM billing_entry e
                    WHERE w.id = ANY(e.windows)) AS charged
            FROM billing_budgetwindow w) books
        WHERE pending_pico <> held OR posted_pico <> charged
    """)
    return list(cursor.fetchall())
