"""Rows to measure with. Imported once Django is set up, for it needs the models."""

from collections.abc import Sequence

from django.db import transaction

from bench.ledger import MODEL, STREAM, TRANSLATED, Account
from billing.models import Budget, Price
from providers.models import Model, Route, Upstream
from runestone.lib.money import pico_from_usd
from runestone.local.seed import seed_catalogue
from tenants.models import ApiKey, Project, Tenant


@transaction.atomic
def fill(
    mock_url: str, models: Sequence[str], tenants: int, budget_usd: int
) -> tuple[str, list[Account]]:
    """The first tenant's key, and all accounts; each tenant is under a hard budget."""
    seed_catalogue(mock_url, {})
    for name in models:
        if name != MODEL:
            _add_scenario(name, name, Upstream.objects.get(slug="mock"))
    for dialect, name in TRANSLATED.items():
        _add_scenario(name, STREAM, _speaking(dialect, mock_url))
    opened = [_open_account(number, budget_usd) for number in range(tenants)]
    return opened[0][0], [account for _, account in opened]


def _add_scenario(name: str, scenario: str, upstream: Upstream) -> None:
    """A model of the mock provider, which serves it so, at the price of the plain one."""
    model = Model.objects.create(name=name, owned_by="bench", max_output_tokens=16_384)
    Route.objects.create(model=model, upstream=upstream, upstream_model=scenario)
    for price in Price.objects.filter(upstream="mock", model=MODEL):
        price.pk, price.upstream, price.model = None, upstream.slug, name
        price.save()


def _speaking(dialect: str, mock_url: str) -> Upstream:
    """The mock provider once more, addressed in another wire."""
    root = mock_url.removesuffix("/v1")
    return Upstream.objects.create(
        slug=f"mock-{dialect}",
        name=f"Mock provider, {dialect}",
        dialect=dialect,
        base_url=root if dialect == "ollama" else mock_url,
    )


def _open_account(number: int, budget_usd: int) -> tuple[str, Account]:
    tenant = Tenant.objects.create(slug=f"tenant-{number}", name=f"Tenant {number}")
    project = Project.objects.create(tenant=tenant, slug="main", name="Main")
    api_key, text = ApiKey.mint(tenant=tenant, project=project, name="bench")
    Budget.objects.create(tenant=tenant, limit_pico=pico_from_usd(budget_usd), hard=True)
    return text, Account(tenant.pk, project.pk, api_key.pk)
