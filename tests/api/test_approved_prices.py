"""An approved price reaches running gateways, and charges the calls that come after it."""

import time
from decimal import Decimal
from uuid import uuid4

import openai
from django.contrib.auth.models import User

from billing.decisions import approve
from billing.models import Price
from billing.proposals import Way, propose
from runestone.lib.published import Facts, PublishedModel, PublishedPrice
from runestone.lib.usage import Component
from tests.cast import NOTICE_SECONDS_MAX, Account, add_mock_model, wait_until_served


def publish(model: str, usd: Decimal) -> int:
    """Proposes that `model` costs this for its output at the mock provider."""
    price = PublishedPrice(component=Component.OUTPUT, usd=usd)
    published = PublishedModel(
        name=model, stands_for=(model,), facts=Facts(), origin="a list", prices=(price,)
    )
    [proposal] = propose([Way("mock", model, published)]).proposed
    return proposal.pk


def test_the_next_calls_cost_what_was_approved(client: openai.OpenAI, acme: Account):
    name = f"mock-{uuid4().hex[:12]}"
    add_mock_model(name, "gpt-4o-mini")
    wait_until_served(client, name)
    old = Price.objects.get(model=name, component="output")
    proposal = publish(name, 2 * old.usd)

    def charged_rows(calls: int) -> set[int]:
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hello"}])
        return set(acme.lines(calls)[-1].price_ids)

    assert old.pk in charged_rows(1)
    [approved] = approve([proposal], User.objects.create_user(f"u-{uuid4().hex[:12]}"))
    deadline, calls = time.monotonic() + NOTICE_SECONDS_MAX, 2
    while approved.price.pk not in (rows := charged_rows(calls)):
        assert time.monotonic() < deadline, f"still charged by {rows}"
        calls += 1
        time.sleep(0.1)
    assert old.pk not in rows
    first, *_, last = acme.lines(calls)
    assert last.usage == first.usage
    extra = last.output_tokens * old.usd * 10**6  # pico-dollars, at so much for a million
    assert last.amount_pico == first.amount_pico + extra
