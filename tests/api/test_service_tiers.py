"""Extras that providers bill at rates of their own: priced and served, or refused, never free."""

from decimal import Decimal

import openai
import pytest

from billing.models import Entry, Price
from runestone.lib.money import PICO_PER_USD, pico_from_usd
from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.conftest import Ask
from tests.gateway_process import GatewayProcess

MODEL = "tiered"
# What the mock provider charges for a tier, of the standard price.
PARTS = {"flex": Decimal("0.5"), "priority": Decimal(2)}


@pytest.fixture
def tiered(client: openai.OpenAI) -> str:
    """A model with prices for every tier of the mock provider, and for a search."""
    if not Price.objects.filter(model=MODEL).exists():
        add_mock_model(MODEL, "gpt-4o-mini")
        for standard in Price.objects.filter(upstream="mock", model=MODEL):
            for tier, part in PARTS.items():
                standard.pk, standard.service_tier = None, tier
                standard.usd *= part
                standard.save()
                standard.usd /= part
        Price.objects.create(
            upstream="mock", model=MODEL, component="web_search", usd="0.01", per=1
        )
    wait_until_served(client, MODEL)
    return MODEL


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_a_tier_is_charged_at_its_own_price(
    ask: Ask, acme: Account, tiered: str, mock_provider: MockProvider, tier: str, stream: bool
):
    answer = ask(model=tiered, service_tier=tier, stream=stream)
    told = next(iter(answer)) if stream else answer
    assert told.service_tier == tier
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert (line.service_tier, line.amount_pico) == (tier, billed["amount_pico"])
    assert line.price_state == Entry.PriceState.PRICED
    named = Price.objects.in_bulk(line.price_ids).values()
    assert {price.service_tier for price in named} == {tier}


def test_the_tier_that_served_is_charged_not_the_one_asked_for(
    ask: Ask, acme: Account, tiered: str, mock_provider: MockProvider
):
    """The mock provider grants no `scale`; nor does it have a price here, so no hard budget may."""
    acme.budget.hard = False
    acme.budget.save()
    assert ask(model=tiered, service_tier="scale").service_tier == "default"
    [line] = acme.lines()
    assert (line.service_tier, line.price_state) == ("", "priced")
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"]


def test_the_hold_covers_the_tier_that_is_asked_for(ask: Ask, acme: Account, tiered: str):
    ask(model=tiered, service_tier="default", max_completion_tokens=100)
    ask(model=tiered, service_tier="flex", max_completion_tokens=100)
    ask(model=tiered, service_tier="priority", max_completion_tokens=100)
    standard, flex, priority = (line.held_pico for line in acme.lines(3))
    # Bodies of different lengths differ by a few bytes' worth.
    assert 10 * flex > 9 * standard
    assert 10 * priority > 19 * standard


def test_a_search_is_charged(ask: Ask, acme: Account, tiered: str, mock_provider: MockProvider):
    ask(model=tiered, web_search_options={})
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.web_searches == 1
    assert line.amount_pico == billed["amount_pico"] + pico_from_usd("0.01")


@pytest.mark.parametrize(
    "extra", [{"service_tier": "flex"}, {"web_search_options": {}}], ids=["tier", "search"]
)
def test_without_a_price_it_is_refused_under_a_hard_budget(
    ask: Ask, acme: Account, extra: dict[str, object]
):
    with pytest.raises(openai.APIStatusError) as caught:
        ask(**extra)
    assert (caught.value.status_code, caught.value.code) == (402, "model_not_priced")
    acme.lines(0)


@pytest.mark.parametrize(
    "extra", [{"service_tier": "flex"}, {"web_search_options": {}}], ids=["tier", "search"]
)
def test_without_a_price_it_is_unpriced_and_never_free(
    gateway: GatewayProcess, live: str, extra: dict[str, object]
):
    soft = open_account("Soft", hard=False)
    with soft.client(gateway.url) as client:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], **extra
        )
    [line] = soft.lines()
    assert (line.amount_pico, line.price_state) == (None, "unpriced")
    assert line.input_tokens > 0


def test_a_price_limit_knows_the_tier(ask: Ask, tiered: str):
    limit = str(Decimal(700_000) / PICO_PER_USD)
    assert ask(model=tiered, service_tier="default", extra_body={"max_cost_per_token": limit})
    with pytest.raises(openai.BadRequestError):
        ask(model=tiered, service_tier="priority", extra_body={"max_cost_per_token": limit})
