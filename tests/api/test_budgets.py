"""A hard budget under a rush: what is let through never costs more than the limit."""

import asyncio
from collections import Counter

import openai
import pytest

from runestone.lib.money import pico_from_usd
from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account, open_account
from tests.gateway_process import GatewayProcess

CALLERS = 200
MESSAGES = [{"role": "user", "content": "one two three four five"}]


async def rush(account: Account, url: str, callers: int) -> Counter[str]:
    async def one(client: openai.AsyncOpenAI) -> str:
        try:
            await client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, max_tokens=5
            )
        except openai.RateLimitError as error:
            return str(error.code)
        return "served"

    async with account.async_client(url) as client:
        return Counter(await asyncio.gather(*(one(client) for _ in range(callers))))


def test_a_rush_never_overspends(gateway: GatewayProcess, live: str, mock_provider: MockProvider):
    rushed = open_account("Rushed", budget_usd="0.0001")
    outcomes = asyncio.run(rush(rushed, gateway.url, CALLERS))

    assert outcomes["served"] + outcomes["insufficient_quota"] == CALLERS
    assert 0 < outcomes["served"] < CALLERS
    lines = rushed.lines(outcomes["served"])
    spent = sum(line.amount_pico for line in lines)
    assert spent <= pico_from_usd("0.0001")
    assert spent == sum(mock_provider.bill(str(line.id))[0]["amount_pico"] for line in lines)
    assert (rushed.window().posted_pico, rushed.window().pending_pico) == (spent, 0)


def test_every_line_was_covered_by_its_hold(client: openai.OpenAI, acme: Account):
    for text in ("Hi", "x" * 3_000, "é" * 500, "a b " * 400):
        client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": text}]
        )
    assert all(line.amount_pico <= line.held_pico for line in acme.lines(4))


def test_a_new_budget_counts_from_the_next_call(
    gateway: GatewayProcess, client: openai.OpenAI, acme: Account
):
    assert acme.budget is not None
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    acme.lines(1)
    acme.budget.limit_pico = 1
    acme.budget.save()
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def test_the_strangers_budget_is_untouched(
    client: openai.OpenAI, acme: Account, globex: Account, gateway: GatewayProcess
):
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    acme.lines(1)
    assert acme.window().posted_pico > 0
    assert globex.budget is not None
    assert not globex.budget.windows.exists()
