"""The cast: Acme owns the data of a test, and Globex is the stranger who must not see it."""

import time
from dataclasses import dataclass
from uuid import uuid4

import openai
from django.db import transaction

from billing.models import Budget, BudgetWindow, Entry, Hold, Price
from providers.models import Model, Route, Upstream
from runestone.lib.money import pico_from_usd
from runestone.local.mock_provider.process import MockProvider
from tenants.models import ApiKey, Project, Tenant

# Where the mock provider speaks a dialect: what a base URL ends in.
MOCK_PATHS = {"openai": "/v1", "azure": "", "anthropic": "/v1", "ollama": ""}
SETTLE_SECONDS_MAX = 5.0
NOTICE_SECONDS_MAX = 5.0


@dataclass
class Account:
    """A tenant with all it needs to call the gateway."""

    tenant: Tenant
    project: Project
    api_key: ApiKey
    key: str
    budget: Budget | None

    def lines(self, count: int = 1) -> list[Entry]:
        """This tenant's ledger lines in order of admission, once `count` of them are settled."""
        entries = self.settled(count)
        assert len(entries) == count, entries
        return entries

    def settled(self, count: int = 1) -> list[Entry]:
        """The same of at least `count`, once nothing is held any more."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            # First the holds: one that is settled in between has its line by then.
            held = self.holds()
            entries = list(Entry.objects.filter(tenant=self.tenant).order_by("created", "posted"))
            if len(entries) >= count and not held:
                return entries
            assert time.monotonic() < deadline, (
                f"{len(entries)} of {count} lines, {len(held)} holds after {SETTLE_SECONDS_MAX} s"
            )
            time.sleep(0.01)

    def holds(self) -> list[Hold]:
        return list(Hold.objects.filter(tenant=self.tenant))

    def window(self) -> BudgetWindow:
        assert self.budget is not None
        return self.budget.windows.get()

    def client(self, base_url: str, **options: object) -> openai.OpenAI:
        return openai.OpenAI(
            **{"base_url": base_url, "api_key": self.key, "max_retries": 0, **options}  # type: ignore[arg-type]
        )

    def async_client(self, base_url: str, **options: object) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            **{"base_url": base_url, "api_key": self.key, "max_retries": 0, **options}  # type: ignore[arg-type]
        )


def open_account(name: str, *, budget_usd: str | None = "100", hard: bool = True) -> Account:
    tenant = Tenant.objects.create(slug=f"{name.lower()}-{uuid4().hex[:12]}", name=name)
    project = Project.objects.create(tenant=tenant, slug="main", name="Main")
    api_key, key = ApiKey.mint(tenant=tenant, project=project, name="test")
    budget = None
    if budget_usd is not None:
        budget = Budget.objects.create(
            tenant=tenant, limit_pico=pico_from_usd(budget_usd), hard=hard
        )
    return Account(tenant, project, api_key, key, budget)


@transaction.atomic  # a gateway must not see a model before its prices
def add_mock_model(
    name: str, upstream_model: str, *, priced: bool = True, upstream: Upstream | None = None
) -> Model:
    """A model that the mock provider (or `upstream`) serves, at the mock's price of gpt-4o-mini."""
    model = Model.objects.create(name=name, owned_by="test", max_output_tokens=16_384)
    upstream = upstream or Upstream.objects.get(slug="mock")
    Route.objects.create(model=model, upstream=upstream, upstream_model=upstream_model)
    if priced:
        for row in Price.objects.filter(upstream="mock", model="gpt-4o-mini"):
            row.pk, row.upstream, row.model = None, upstream.slug, name
            row.save()
    return model


def add_mock_upstream(slug: str, dialect: str, provider: MockProvider) -> Upstream:
    """The mock provider, reached over a dialect's wire."""
    return Upstream.objects.create(
        slug=slug, name=slug, dialect=dialect, base_url=provider.root + MOCK_PATHS[dialect]
    )


def wait_until_served(client: openai.OpenAI, model: str) -> None:
    """Until the gateway has noticed the new rows."""
    deadline = time.monotonic() + NOTICE_SECONDS_MAX
    while model not in {each.id for each in client.models.list()}:
        assert time.monotonic() < deadline, f"{model} is not served"
        time.sleep(0.05)
