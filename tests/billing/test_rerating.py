"""Prices that were wrong, put right: differences are shown, then posted, and the books balance."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import openai
import pytest
from django.core.management import call_command
from django.utils import timezone

from billing import receipts
from billing.models import Entry, Price
from billing.reconciliation import tariff_at
from billing.rerating import Scope, post, preview
from runestone.lib.money import pico_from_usd
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.gateway_process import GatewayProcess

MILLION = 1_000_000
Ask = Callable[..., Any]


@pytest.fixture
def model(client: openai.OpenAI) -> str:
    """One of this test's own, so that its prices are, too."""
    name = f"rerated-{uuid4().hex[:12]}"
    add_mock_model(name, "gpt-4o-mini")
    wait_until_served(client, name)
    return name


def ask(client: openai.OpenAI, model: str) -> None:
    client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "one two three four"}]
    )


def scope(model: str) -> Scope:
    now = timezone.now()
    return Scope("mock", model, now - timedelta(days=1), now + timedelta(minutes=1))


def replace(model: str, component: str, usd: str) -> Price:
    """The price was wrong from the start; this one is right."""
    wrong = Price.objects.get(upstream="mock", model=model, component=component)
    wrong.valid_to = wrong.valid_from
    wrong.full_clean()
    wrong.save()
    right = Price(
        upstream="mock",
        model=model,
        component=component,
        usd=Decimal(usd),
        valid_from=wrong.valid_from,
    )
    right.full_clean()
    right.save()
    return right


def net(account: Account) -> int | None:
    return receipts.net_pico(Entry.objects.filter(tenant=account.tenant))


def test_it_works(client: openai.OpenAI, acme: Account, model: str):
    ask(client, model)
    [line] = acme.lines()
    replace(model, "output", "6")
    sums = preview(scope(model))
    difference = line.output_tokens * (pico_from_usd(6) - pico_from_usd("0.6")) // MILLION
    assert sums[acme.tenant.slug].difference_pico == difference
    acme.lines(1)

    assert post(scope(model)) == sums
    original, correction = acme.lines(2)
    assert original == line
    assert (correction.corrects, correction.amount_pico) == (line.id, difference)
    # Tokens were right all along.
    assert correction.input_tokens == correction.output_tokens == 0
    assert acme.window().posted_pico == net(acme)


def test_the_receipt_is_right_afterwards(client: openai.OpenAI, acme: Account, model: str):
    ask(client, model)
    acme.lines()
    right = replace(model, "input", "3")
    post(scope(model))
    [attempt] = receipts.attempts(acme.lines(2))
    assert attempt.receipt.is_right
    assert right.pk in attempt.lines[-1].price_ids


def test_twice_is_once(client: openai.OpenAI, acme: Account, model: str):
    ask(client, model)
    acme.lines()
    replace(model, "output", "6")
    post(scope(model))
    assert post(scope(model)) == {}
    acme.lines(2)


def test_where_prices_were_right_nothing_changes(client: openai.OpenAI, acme: Account, model: str):
    ask(client, model)
    acme.lines()
    assert preview(scope(model)) == {}


def test_what_had_no_price_is_charged_once_there_is_one(gateway: GatewayProcess, live: str):
    soft = open_account("Soft", hard=False)
    name = f"unpriced-{uuid4().hex[:12]}"
    add_mock_model(name, "gpt-4o-mini", priced=False)
    with soft.client(gateway.url) as client:
        wait_until_served(client, name)
        ask(client, name)
    [line] = soft.lines()
    assert line.amount_pico is None
    for component, usd in (("input", "1"), ("output", "2")):
        Price.objects.create(
            upstream="mock",
            model=name,
            component=component,
            usd=usd,
            valid_from=line.created - timedelta(hours=1),
        )
    [each] = preview(scope(name)).values()
    assert (each.attempts, each.unpriced, each.was_pico) == (1, 1, 0)
    post(scope(name))
    assert net(soft) == line.input_tokens * 1_000_000 + line.output_tokens * 2_000_000
    assert soft.window().posted_pico == net(soft)


def test_a_price_that_changed_in_the_middle(client: openai.OpenAI, acme: Account, model: str):
    """What was admitted before keeps its price."""
    ask(client, model)
    [before] = acme.lines()
    change = before.created + timedelta(microseconds=1)
    old = Price.objects.get(upstream="mock", model=model, component="output")
    old.valid_to = change
    old.save()
    Price.objects.create(
        upstream="mock", model=model, component="output", usd="6", valid_from=change
    )
    ask(client, model)
    acme.lines(2)
    changed = preview(scope(model)).get(acme.tenant.slug)
    corrected = 0 if changed is None else changed.attempts
    # The gateway may have had the new price already, or not: the older one is right either way.
    assert corrected <= 1
    post(scope(model))
    tariff = tariff_at("mock", model, before.created)
    assert all(
        attempt.receipt.computed_pico
        == tariff.cost(attempt.receipt.usage, each.created).amount_pico
        for attempt in receipts.attempts(Entry.objects.filter(tenant=acme.tenant))
        for each in [attempt.original]
    )


def test_it_keeps_its_hands_off_others(
    client: openai.OpenAI, acme: Account, globex: Account, gateway: GatewayProcess, model: str
):
    ask(client, model)
    with globex.client(gateway.url) as stranger:
        ask(stranger, "gpt-4o-mini")
    acme.lines()
    globex.lines()
    replace(model, "output", "6")
    assert set(post(scope(model))) == {acme.tenant.slug}
    globex.lines(1)


def test_the_command_shows_before_it_posts(client: openai.OpenAI, acme: Account, model: str):
    ask(client, model)
    acme.lines()
    replace(model, "output", "6")
    since = (timezone.now() - timedelta(days=1)).isoformat()
    said = StringIO()
    call_command("rerate", "mock", model, "--since", since, stdout=said)
    assert f"{acme.tenant.slug}: 1 attempts; " in said.getvalue()
    assert "would be posted: +$" in said.getvalue()
    acme.lines(1)
    call_command("rerate", "mock", model, "--since", since, "--post", stdout=said)
    assert "posted: +$" in said.getvalue()
    acme.lines(2)
