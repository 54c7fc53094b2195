"""The admin through Django's own test client: Ada may do everything, Mallory nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from billing.models import Budget, BudgetWindow, Entry, GatewayInstance, Price
from billing.periods import bounds
from billing.reconciliation import tariff_at
from providers.models import Model, Route, Upstream
from runestone.lib.ids import uuid7
from runestone.lib.usage import Usage
from tenants.models import ApiKey, Member, Project, Tenant

UPSTREAM, MODEL = "openai", "gpt-4o"


@pytest.fixture(autouse=True)
def no_list_of_static_files(settings: Any) -> None:
    """WhiteNoise would list all files for every client; looking one up when asked is enough."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture
def ada(db: None) -> User:
    # Without a password: hashing one takes longer than most tests.
    return User.objects.create_superuser("ada", "ada@example.org")


@pytest.fixture
def desk(ada: User) -> Client:
    """A browser in which Ada is signed in."""
    client = Client()
    client.force_login(ada)
    return client


@dataclass
class House:
    """One row of everything, and the way money takes."""

    tenant: Tenant
    project: Project
    key: ApiKey
    member: Member
    upstream: Upstream
    model: Model
    prices: dict[str, Price]
    budget: Budget
    window: BudgetWindow
    instance: GatewayInstance = field(default_factory=lambda: open_instance())

    def hold(self, *, request: UUID | None = None, amount_pico: int = 10**12, **ways: Any) -> UUID:
        """Holds money for an attempt; gives its id."""
        attempt = {
            "id": str(uuid7()),
            "request_id": str(request or uuid7()),
            "tenant_id": self.tenant.pk,
            "project_id": self.project.pk,
            "api_key_id": self.key.pk,
            "upstream": UPSTREAM,
            "model": MODEL,
            "service_tier": "",
            "attempt": 1,
            "byok": False,
            "amount_pico": amount_pico,
            "estimate_pico": amount_pico // 10,
            "budgets": [self.budget.pk],
        } | ways
        assert call("billing_hold(%s, %s::json)", self.instance.pk, json.dumps([attempt])) == [0]
        return UUID(attempt["id"])

    def settle(self, attempt: UUID, usage: Usage | None = None, **line: Any) -> Entry:
        """Settles a held attempt at its price, as the gateway does."""
        usage = usage or Usage(input_tokens=1000, output_tokens=100)
        bill = self._bill(attempt, usage) | {
            "kind": "charge",
            "status": 200,
            "error": "",
            "streamed": False,
            "upstream_request_id": "chatcmpl-1",
            "first_byte_ms": 120,
            "duration_ms": 900,
        }
        assert call("billing_settle(%s::json)", json.dumps([bill | line])) == [attempt]
        return Entry.objects.get(pk=attempt)

    def charge(self, usage: Usage | None = None, **line: Any) -> Entry:
        return self.settle(self.hold(), usage, **line)

    def correct(self, attempt: UUID, usage: Usage, **line: Any) -> Entry:
        """Brings an attempt to what `usage` costs; gives the correction."""
        bill = self._bill(attempt, usage) | line
        assert call("billing_correct(%s::json, false)", json.dumps([bill])) == [attempt]
        return Entry.objects.filter(corrects=attempt).order_by("-posted")[0]

    def _bill(self, attempt: UUID, usage: Usage) -> dict[str, Any]:
        now = self.window.starts
        cost = tariff_at(UPSTREAM, MODEL, now).cost(usage, now)
        return {
            "id": str(attempt),
            "amount_pico": cost.amount_pico,
            "price_state": "unpriced" if cost.amount_pico is None else "priced",
            "price_ids": cost.price_ids,
            **usage.figures(),
        }


@pytest.fixture
def house(ada: User) -> House:
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    project = Project.objects.create(tenant=tenant, slug="main", name="Main")
    key, _ = ApiKey.mint(tenant=tenant, project=project, name="production")
    upstream = Upstream(
        slug=UPSTREAM, name="OpenAI", dialect="openai", base_url="https://api.example.org/v1"
    )
    upstream.save()
    model = Model.objects.create(name=MODEL, capabilities=["chat"], context_window=128_000)
    Route.objects.create(model=model, upstream=upstream, upstream_model=MODEL)
    budget = Budget.objects.create(tenant=tenant, limit_pico=100 * 10**12)
    window = open_window(budget)
    prices = {
        component: Price.objects.create(
            upstream=UPSTREAM,
            model=MODEL,
            component=component,
            usd=Decimal(usd),
            valid_from=window.starts,
        )
        for component, usd in (("input", "2.5"), ("cached_input", "1.25"), ("output", "10"))
    }
    member = Member.objects.create(tenant=tenant, user=ada, role="owner")
    return House(tenant, project, key, member, upstream, model, prices, budget, window)


def open_instance() -> GatewayInstance:
    return GatewayInstance.objects.create(host="gw-1", pid=1)


def open_window(budget: Budget) -> BudgetWindow:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    period = bounds(budget.period, budget.tenant.zone, now)
    return BudgetWindow.objects.create(
        budget=budget, starts=period.starts, ends=period.ends, limit_pico=budget.limit_pico
    )


def call(function: str, *arguments: Any) -> Any:
    """The result of one of the money statements."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}", arguments)
        [result] = cursor.fetchone()
    return result


def fields_of(response: Any) -> dict[str, Any]:
    """What a browser would send back of an admin form that nobody touched."""
    sent: dict[str, Any] = {}
    forms = [response.context["adminform"].form]
    for inline in response.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    for form in forms:
        for bound in form:
            _put(sent, bound)
    return sent


def _put(sent: dict[str, Any], bound: Any) -> None:
    value = bound.value()
    subwidgets = getattr(bound.field.widget, "widgets", None)
    if subwidgets:
        parts = bound.field.widget.decompress(value)
        for number, (widget, part) in enumerate(zip(subwidgets, parts, strict=True)):
            sent[f"{bound.html_name}_{number}"] = widget.format_value(part) or ""
    elif value is True:
        sent[bound.html_name] = "on"
    elif value is not None and value is not False:
        # value() has prepared it already, and JSON that is prepared twice is a text.
        sent[bound.html_name] = value


Submit = Callable[..., Any]


@pytest.fixture
def submit(desk: Client) -> Submit:
    """Opens a form, changes some of its fields, and sends it."""

    def sent(url: str, **changes: Any) -> Any:
        return desk.post(url, fields_of(desk.get(url)) | changes)

    return sent
