"""`kill -9` of a gateway in the middle of 200 calls: nothing is lost, nothing is charged twice."""

import asyncio
import random
import signal
import time

import httpx2
import openai
import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from billing import sweeper
from billing.models import Entry, Hold
from billing.verify import verify
from runestone.local.mock_provider.process import MockProvider
from tests.bills import reconcile_with
from tests.cast import Account, open_account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

CALLS = 200
SEED = 20_261_121
# Beyond this silence the test's gateways count as dead; in production it is 15 s.
SILENCE_SECONDS = 1.0
TEXT = [{"role": "user", "content": "some words of a prompt that is not long"}]


async def call(client: openai.AsyncOpenAI, model: str, *, stream: bool) -> str:
    """ "served", or the name of the exception."""
    try:
        answer = await client.chat.completions.create(
            model=model, messages=TEXT, stream=stream, max_tokens=30
        )
        if stream:
            async for _ in answer:
                pass
    except (openai.APIError, httpx2.HTTPError) as error:
        return type(error).__name__
    return "served"


async def rush_and_kill(
    account: Account, doomed: GatewayProcess, model: str, mock_provider: MockProvider
) -> list[str]:
    async with account.async_client(doomed.url, timeout=15) as client:
        calls = [
            asyncio.create_task(call(client, model, stream=bool(number % 2)))
            for number in range(CALLS)
        ]
        while mock_provider.calls()["in_flight"] < CALLS // 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(random.Random(SEED).uniform(0, 0.3))
        doomed.kill()
        return await asyncio.gather(*calls)


@pytest.mark.usefixtures("gateway")
def test_bill_equals_ledger_after_kill_and_sweep(
    live: str,
    scenario: Scenario,
    mock_provider: MockProvider,
    settings: Settings,
):
    model = scenario("chunks=20;gap=0.05;delay=0.5")
    settings.RUNESTONE_INSTANCE_SILENCE_SECONDS_MAX = SILENCE_SECONDS
    # Other tests leave holds of gateways that never were, which are not to be counted here.
    time.sleep(SILENCE_SECONDS)
    while sweeper.sweep():
        pass
    began, account = timezone.now(), open_account("Killed")
    with GatewayProcess(live) as doomed:
        outcomes = asyncio.run(rush_and_kill(account, doomed, model, mock_provider))
        left = Hold.objects.filter(tenant=account.tenant).count()
        doomed.start()  # as an operator's supervisor would
        time.sleep(SILENCE_SECONDS + 0.2)
        mock_provider.wait(lambda calls: calls["in_flight"] == 0)
        assert sweeper.sweep() == left
        assert sweeper.sweep() == 0

    assert set(outcomes) - {"served"}, "the kill came too late to cut anything off"
    assert left > 0
    assert not Hold.objects.filter(tenant=account.tenant).exists()
    lines = {entry.id: entry for entry in Entry.objects.filter(tenant=account.tenant)}
    assert sum(entry.kind == Entry.Kind.ORPHAN for entry in lines.values()) == left

    ours = {str(attempt) for attempt in lines}
    bill = [each for each in mock_provider.bill() if each["attempt"] in ours]
    assert len({each["attempt"] for each in bill}) == len(bill)
    reconcile_with(bill, lines.keys())
    posted = sum(entry.amount_pico or 0 for entry in Entry.objects.filter(tenant=account.tenant))
    assert posted == sum(each["amount_pico"] for each in bill)
    window = account.window()
    assert (window.posted_pico, window.pending_pico) == (posted, 0)
    books = verify(since=began)
    assert books.lines > CALLS
    assert [(each.name, each.findings) for each in books.checks if not each.holds] == []


def test_every_billed_attempt_has_a_line(live: str, mock_provider: MockProvider):
    """Over all that this run's tests did, kills included: no attempt was billed without a line."""
    known = {str(entry) for entry in Entry.objects.values_list("id", flat=True)}
    known |= {str(hold) for hold in Hold.objects.values_list("id", flat=True)}
    ours = [each["attempt"] for each in mock_provider.bill() if each["attempt"]]
    assert [attempt for attempt in ours if attempt not in known] == []


def test_a_graceful_stop_settles_everything(
    live: str, scenario: Scenario, mock_provider: MockProvider
):
    model = scenario("delay=1")
    account = open_account("Stopped")

    async def rush() -> list[str]:
        async with account.async_client(leaving.url) as client:
            calls = [asyncio.create_task(call(client, model, stream=False)) for _ in range(20)]
            while mock_provider.calls()["in_flight"] < 20:
                await asyncio.sleep(0.02)
            assert leaving.process is not None
            leaving.process.terminate()
            return await asyncio.gather(*calls)

    with GatewayProcess(live) as leaving:
        outcomes = asyncio.run(rush())
        assert leaving.stop() in (0, -signal.SIGTERM)
    assert outcomes == ["served"] * 20
    lines = account.lines(20)
    assert all(line.price_state == "priced" for line in lines)
