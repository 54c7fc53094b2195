"""What a first run finds: a demo tenant with a budget and a key, a superuser, models to call.

A vendor whose key is in the environment (OPENAI_API_KEY and so on, see `providers/vendors.json`)
serves its models of the catalogue. Without OPENAI_API_KEY some of OpenAI's go to the mock provider,
which bills nobody.
"""

import json
import os
import secrets
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from msgspec import Struct

from billing.models import Budget, Price
from providers.models import Model, Route, Upstream
from runestone.lib.money import pico_from_usd
from runestone.local.vendors import add_vendors
from tenants.models import ApiKey, Member, Project, Tenant

ADMIN_USERNAME = "admin"
DEMO_BUDGET_USD = 100
MOCK_URL = "http://127.0.0.1:4011/v1"

_CATALOG = Path(__file__).resolve().parents[2] / "providers" / "catalog.json"
# What the mock provider charges, per million tokens; it knows nothing of this table, nor this of
# its own, so that bill and ledger are two computations.
_MOCK_PRICES = {
    "gpt-4o-mini": {"input": "0.15", "cached_input": "0.075", "output": "0.60"},
    "gpt-4o": {"input": "2.50", "cached_input": "1.25", "output": "10"},
    "gpt-3.5-turbo-instruct": {"input": "1", "cached_input": "0.50", "output": "2"},
    "text-embedding-3-small": {"input": "0.02"},
    "text-embedding-3-large": {"input": "0.13"},
    "omni-moderation-latest": {"input": "0"},
    "mock": {"input": "1", "cached_input": "0.50", "output": "2"},
}
_ECHO_PRICES = {"echo": {"input": "0", "output": "0"}}


class Seeded(Struct, omit_defaults=True):
    """What to tell the person at the terminal; the secrets only when they were just made."""

    created: bool
    admin_username: str
    admin_password: str = ""
    api_key: str = ""


@transaction.atomic
def seed() -> Seeded:
    """Fills an empty database; of a filled one it changes the mock provider's address only."""
    mock_url = os.environ.get("RUNESTONE_MOCK_URL", MOCK_URL)
    if Tenant.objects.exists():
        Upstream.objects.filter(slug="mock").update(base_url=mock_url)
        return Seeded(created=False, admin_username=ADMIN_USERNAME)
    seed_catalogue(mock_url, os.environ)
    password = secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(ADMIN_USERNAME, "admin@localhost", password)
    return Seeded(True, ADMIN_USERNAME, password, _seed_demo_tenant(admin))


def seed_catalogue(mock_url: str, environment: Mapping[str, str]) -> None:
    """Models, vendors, and routes to those whose keys are in `environment`."""
    catalog = json.loads(_CATALOG.read_text())
    for facts in catalog["models"]:
        _add_model(facts)
    vendors = {upstream.slug: upstream for upstream in add_vendors(environment)}
    for facts in catalog["models"]:
        if (upstream := vendors.get(facts["vendor"])) is not None:
            name = facts["name"]
            upstream_model = facts.get("upstream_model", name)
            _add_route(upstream, name, upstream_model, facts["prices"], source=catalog["source"])
    mock = Upstream.objects.create(
        slug="mock", name="Mock provider", dialect="openai", base_url=mock_url
    )
    echo = Upstream.objects.create(
        slug="echo", name="Echo", dialect="echo", base_url="echo://local"
    )
    _add_model({"name": "mock", "owned_by": "runestone", "capabilities": ["chat", "streaming"]})
    _add_model({"name": "echo", "owned_by": "runestone", "capabilities": ["chat", "streaming"]})
    for model, prices in _MOCK_PRICES.items():
        if not Route.objects.filter(model__name=model).exists():
            _add_route(
                mock, model, model, _components(prices), source="the mock provider's own price"
            )
    for model, prices in _ECHO_PRICES.items():
        _add_route(echo, model, model, _components(prices), source="costs nothing")


def _seed_demo_tenant(admin: User) -> str:
    tenant = Tenant.objects.create(slug="demo", name="Demo", default_model="gpt-4o-mini")
    project = Project.objects.create(tenant=tenant, slug="first-steps", name="First steps")
    Member.objects.create(tenant=tenant, user=admin, role=Member.Role.OWNER)
    Budget.objects.create(tenant=tenant, limit_pico=pico_from_usd(DEMO_BUDGET_USD))
    _, text = ApiKey.mint(tenant=tenant, project=project, name="first key")
    return text


def _add_model(facts: dict[str, Any]) -> None:
    fields = ("name", "family", "owned_by", "capabilities", "context_window", "max_output_tokens")
    Model.objects.create(**{name: facts[name] for name in fields if name in facts})


def _add_route(
    upstream: Upstream,
    model: str,
    upstream_model: str,
    prices: list[dict[str, Any]],
    *,
    source: str,
) -> None:
    Route.objects.create(
        upstream=upstream, model=Model.objects.get(name=model), upstream_model=upstream_model
    )
    for price in prices:
        Price.objects.create(
            upstream=upstream.slug,
            model=model,
            component=price["component"],
            usd=Decimal(price["usd"]),
            context_from=price.get("context_from", 0),
            source=source,
        )


def _components(prices: dict[str, str]) -> list[dict[str, Any]]:
    return [{"component": component, "usd": usd} for component, usd in prices.items()]
