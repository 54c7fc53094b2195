"""What a tenant may read of its own ledger: the receipt of a request, which can be recomputed."""

from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import httpx
import openai
import pytest

from billing import reconciliation
from runestone.lib.money import PICO_PER_USD, divide_half_even
from runestone.lib.usage import Usage
from runestone.local.mock_provider.process import MockProvider
from tenants.models import ApiKey, Project
from tests.cast import Account
from tests.conftest import Ask
from tests.gateway_process import GatewayProcess


def receipt(gateway: GatewayProcess, key: str, name: str) -> httpx.Response:
    return httpx.get(
        f"{gateway.root}/api/v1/requests/{name}/receipt",
        headers={"authorization": f"Bearer {key}"},
    )


def name_of(answer: Any) -> str:
    return str(answer.request_id)


def recomputed(attempt: dict[str, Any]) -> int:
    """From the receipt alone: quantities times rates, exactly, rounded once, half to even."""
    exact = sum(
        (
            Fraction(Decimal(part["rate"]["usd"]))
            * PICO_PER_USD
            * part["quantity"]
            / part["rate"]["per"]
            for part in attempt["parts"]
        ),
        Fraction(0),
    )
    return divide_half_even(exact.numerator, exact.denominator)


def test_it_works(gateway: GatewayProcess, ask: Ask, acme: Account):
    name = name_of(ask())
    [line] = acme.lines()
    told = receipt(gateway, acme.key, name).json()
    assert (told["object"], told["request_id"], told["currency"]) == ("receipt", name, "USD")
    assert told["amount_pico"] == line.amount_pico
    assert Decimal(told["amount"]) * PICO_PER_USD == line.amount_pico
    [attempt] = told["attempts"]
    assert (attempt["id"], attempt["number"]) == (str(line.id), 1)
    assert attempt["usage"]["input_tokens"] == line.input_tokens
    assert recomputed(attempt) == attempt["computed_pico"] == line.amount_pico
    assert attempt["is_right"] is True


def test_a_correction_is_told(
    gateway: GatewayProcess, ask: Ask, acme: Account, mock_provider: MockProvider
):
    name = name_of(ask())
    [line] = acme.lines()
    usage = Usage(input_tokens=line.input_tokens + 1_000, output_tokens=line.output_tokens)
    reconciliation.reconcile([reconciliation.BilledAttempt(UUID(str(line.id)), usage)])
    original, correction = acme.lines(2)
    told = receipt(gateway, acme.key, name).json()
    assert told["amount_pico"] == original.amount_pico + correction.amount_pico
    [attempt] = told["attempts"]
    assert [each["id"] for each in attempt["corrections"]] == [str(correction.id)]
    assert attempt["usage"]["input_tokens"] == line.input_tokens + 1_000
    assert recomputed(attempt) == told["amount_pico"]


def test_a_call_without_a_price_says_so(
    gateway: GatewayProcess, client: openai.OpenAI, acme: Account
):
    acme.budget.hard = False
    acme.budget.save()
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], service_tier="flex"
    )
    acme.lines()
    told = receipt(gateway, acme.key, name_of(answer)).json()
    assert told["amount"] is None
    assert "Unknown is not free" in told["attempts"][0]["note"]


def test_a_stranger_does_not_see_it(
    gateway: GatewayProcess, ask: Ask, acme: Account, globex: Account
):
    name = name_of(ask())
    acme.lines()
    assert receipt(gateway, globex.key, name).status_code == 404
    assert receipt(gateway, "sk-wrong", name).status_code == 401


def test_a_projects_key_sees_its_own_projects(gateway: GatewayProcess, ask: Ask, acme: Account):
    name = name_of(ask())
    acme.lines()
    other = Project.objects.create(tenant=acme.tenant, slug="other", name="Other")
    _, elsewhere = ApiKey.mint(tenant=acme.tenant, project=other, name="other")
    _, everywhere = ApiKey.mint(tenant=acme.tenant, project=None, name="all")
    assert receipt(gateway, elsewhere, name).status_code == 404
    assert receipt(gateway, everywhere, name).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "status"), [(["inference"], 403), (["usage"], 200)], ids=["without", "with"]
)
def test_it_takes_the_scope(
    gateway: GatewayProcess, ask: Ask, acme: Account, scopes: list[str], status: int
):
    name = name_of(ask())
    acme.lines()
    limited, text = ApiKey.mint(tenant=acme.tenant, project=acme.project, name="limited")
    limited.scopes = scopes
    limited.save()
    assert receipt(gateway, text, name).status_code == status


def test_it_can_be_read_when_the_budget_is_used_up(
    gateway: GatewayProcess, ask: Ask, acme: Account
):
    name = name_of(ask())
    acme.lines()
    acme.budget.limit_pico = 0
    acme.budget.save()
    with pytest.raises(openai.RateLimitError):
        ask()
    assert receipt(gateway, acme.key, name).status_code == 200


@pytest.mark.parametrize("name", ["req_", "nonsense", "req_" + "0" * 32, "%00"])
def test_what_is_not_there(gateway: GatewayProcess, acme: Account, name: str):
    answer = receipt(gateway, acme.key, name)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
