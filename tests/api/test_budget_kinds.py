"""Budgets of a model and of end users over the wire: whom they stop, and what stays in reach."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import openai
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from billing.models import Budget, BudgetRaise
from runestone.lib.money import pico_from_usd
from tests.cast import Account, open_account
from tests.gateway_process import GatewayProcess

MESSAGES: Any = [{"role": "user", "content": "one two three four five"}]
CALLERS = 120
# Enough for a few of the calls above.
SMALL = "0.0001"
CALLS_MAX = 50


def ask(account: Account, url: str, model: str = "gpt-4o-mini", **options: Any) -> None:
    with account.client(url) as client:
        client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=5, **options)


def limit(account: Account, usd: str, **fields: Any) -> Budget:
    return Budget.objects.create(tenant=account.tenant, limit_pico=pico_from_usd(usd), **fields)


def refused(account: Account, url: str, **options: Any) -> str:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(account, url, **options)
    assert caught.value.code == "insufficient_quota"
    return caught.value.message


def test_a_model_budget_stops_its_model_alone(
    gateway: GatewayProcess, acme: Account, globex: Account
):
    limit(acme, "0.0000001", model="gpt-4o-mini")
    message = refused(acme, gateway.url)
    assert "tenant's budget of $0.0000001 per month for the model `gpt-4o-mini`" in message
    ask(acme, gateway.url, "gpt-4o")
    ask(globex, gateway.url)
    assert [line.model for line in acme.lines(1)] == ["gpt-4o"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"user": "ann"}, {"user": "ann"}),
        ({"user": "ann"}, {"safety_identifier": "ann", "user": "another"}),
        ({"user": "x" * 500}, {"user": "x" * 500}),
        ({"user": "nul \0 byte"}, {"user": "nul \0 byte"}),
        ({}, {}),
        ({}, {"user": ""}),
    ],
    ids=["user", "safety-identifier", "long", "nul", "nobody", "empty"],
)
def test_an_end_user_is_stopped_and_others_are_not(
    gateway: GatewayProcess, acme: Account, first: dict[str, Any], second: dict[str, Any]
):
    limit(acme, SMALL, per_end_user=True, period="day")
    spend(acme, gateway.url, **first)
    message = refused(acme, gateway.url, **second)
    assert "the budget of " in message
    assert "$0.0001 per day" in message
    ask(acme, gateway.url, user="bob")


def spend(account: Account, url: str, **options: Any) -> None:
    """Calls until no more fits."""
    for served in range(CALLS_MAX):
        try:
            ask(account, url, **options)
        except openai.RateLimitError:
            assert served
            return
        account.settled(served + 1)
    raise AssertionError("never refused")


def test_a_refusal_says_whose_budget_it_was(gateway: GatewayProcess, acme: Account):
    limit(acme, "0.0000001", per_end_user=True)
    named = refused(acme, gateway.url, user="ann")
    assert "the budget of end user 'ann', $0.0000001 per month" in named
    assert "calls that name no end user" in refused(acme, gateway.url)


def test_lines_say_whom_calls_were_for(gateway: GatewayProcess, acme: Account, globex: Account):
    ask(acme, gateway.url, user="ann")
    acme.lines(1)
    ask(acme, gateway.url, user="ann", safety_identifier="hash-of-ann")
    acme.lines(2)
    with acme.client(gateway.url) as client:
        client.embeddings.create(model="text-embedding-3-small", input="Hi", user="bob")
        acme.lines(3)
        client.responses.create(model="gpt-4o-mini", input="Hi", safety_identifier="eve")
    ask(globex, gateway.url)
    names = [line.end_user for line in acme.lines(4)]
    assert names == ["ann", "hash-of-ann", "bob", "eve"]
    assert globex.lines(1)[0].end_user is None


def test_a_cached_answer_names_the_end_user_too(gateway: GatewayProcess, acme: Account):
    kept = {"extra_headers": {"x-runestone-cache": "60"}, "user": "ann"}
    for _ in range(2):
        ask(acme, gateway.url, **kept)
    assert {line.end_user for line in acme.lines(2)} == {"ann"}


def test_a_call_that_needs_many_windows_opens_them_all(gateway: GatewayProcess, acme: Account):
    periods = ("day", "week", "month", "total")
    made = [
        limit(acme, "1", period=period, model=model, per_end_user=per_end_user)
        for period in periods
        for model in ("", "gpt-4o-mini")
        for per_end_user in (False, True)
    ]
    ask(acme, gateway.url, user="ann")
    [line] = acme.lines(1)
    assert [each.windows.get().posted_pico for each in made] == [line.amount_pico] * len(made)


def test_a_raise_serves_at_once_and_ends_by_itself(gateway: GatewayProcess, acme: Account):
    budget = limit(acme, "0.0000001")
    assert "of $0.0000001 per month" in refused(acme, gateway.url)
    by = User.objects.create(username=acme.tenant.slug)
    raised = BudgetRaise.objects.create(
        budget=budget,
        extra_pico=pico_from_usd("0.0000001"),
        ends=timezone.now() + timedelta(hours=1),
        reason="The launch.",
        by=by,
    )
    assert "of $0.0000002 per month" in refused(acme, gateway.url)
    raised.extra_pico = pico_from_usd("1")
    raised.save()
    ask(acme, gateway.url)
    raised.ends = timezone.now()
    raised.save()
    refused(acme, gateway.url)


@pytest.mark.parametrize("kind", ["model", "end-user", "anonymous", "raised"])
def test_a_rush_never_overspends(gateway: GatewayProcess, live: str, kind: str):
    rushed = open_account("Rushed")
    total = pico_from_usd("0.0001")
    if kind == "raised":
        budget = limit(rushed, "0.00004")
        by = User.objects.create(username=rushed.tenant.slug)
        ends = timezone.now() + timedelta(hours=1)
        extra = pico_from_usd("0.00006")
        BudgetRaise.objects.create(budget=budget, extra_pico=extra, ends=ends, reason="x", by=by)
    elif kind == "model":
        budget = limit(rushed, "0.0001", model="gpt-4o-mini")
    else:
        budget = limit(rushed, "0.0001", per_end_user=True)
    options = {"user": "ann"} if kind == "end-user" else {}

    async def one(client: openai.AsyncOpenAI) -> str:
        try:
            await client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, max_tokens=5, **options
            )
        except openai.RateLimitError as error:
            return str(error.code)
        return "served"

    async def rush() -> Counter[str]:
        async with rushed.async_client(gateway.url) as client:
            return Counter(await asyncio.gather(*(one(client) for _ in range(CALLERS))))

    outcomes = asyncio.run(rush())
    assert outcomes["served"] + outcomes["insufficient_quota"] == CALLERS
    assert 0 < outcomes["served"] < CALLERS
    spent = sum(line.amount_pico for line in rushed.lines(outcomes["served"]))
    window = budget.windows.get()
    assert (window.posted_pico, window.pending_pico) == (spent, 0)
    assert spent <= total


def test_over_budget_everything_that_costs_nothing_still_answers(
    gateway: GatewayProcess, acme: Account, globex: Account
):
    with acme.client(gateway.url) as client:
        stored = client.responses.create(model="gpt-4o-mini", input="Hi")
        acme.lines(1)
        limit(acme, "0")
        with pytest.raises(openai.RateLimitError):
            client.responses.create(model="gpt-4o-mini", input="Hi")
        assert client.models.list().data
        assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
        assert client.responses.retrieve(stored.id).output_text == stored.output_text
        assert client.responses.input_items.list(stored.id).data
        assert client.moderations.create(input="Hi").results
        client.responses.delete(stored.id)
    with globex.client(gateway.url) as stranger, pytest.raises(openai.NotFoundError):
        stranger.responses.retrieve(stored.id)
