"""The accountant over a real Postgres: what it charges unseen, and what it does not give up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from django.conf import settings

from billing.cached import CachedHold
from billing.holds import Accountant, Hold
from billing.models import Entry
from billing.pricing import Most, PriceBook
from runestone.lib.database import Connection, conninfo
from runestone.lib.errors import Unavailable
from runestone.lib.ids import uuid7
from runestone.lib.usage import NOTHING_USED, Usage, UsageSource

MODEL_PRICE_IN, MODEL_PRICE_OUT = 150_000, 600_000


@asynccontextmanager
async def accountant() -> AsyncIterator[Accountant]:
    info = conninfo(settings.DATABASES["default"])
    connection, prices = Connection(info), PriceBook()
    await prices.reload(connection)
    await connection.close()
    made = Accountant(info, prices)
    await made.start()
    yield made
    await asyncio.wait_for(made.stop(), 10)


def held(made: Accountant, account, **fields) -> Hold:
    """A hold for a prompt of at most 100 tokens and an answer of at most 5."""
    return made.held(
        **{
            "request_id": uuid7(),
            "tenant_id": account.tenant.id,
            "project_id": account.project.id,
            "api_key_id": account.api_key.id,
            "upstream": "mock",
            "model": "gpt-4o-mini",
            "most": Most(100, 5),
            "counted": Usage(input_tokens=10, source=UsageSource.COUNTED),
            "streamed": True,
            **fields,
        }
    )


def only_entry(account) -> Entry:
    return Entry.objects.get(tenant=account.tenant)


def test_it_works(acme):
    async def call():
        async with accountant() as made, held(made, acme) as hold:
            hold.observe(Usage(input_tokens=4, output_tokens=2))

    asyncio.run(call())
    entry = only_entry(acme)
    assert entry.amount_pico == 4 * MODEL_PRICE_IN + 2 * MODEL_PRICE_OUT
    assert entry.held_pico == 100 * MODEL_PRICE_IN + 5 * MODEL_PRICE_OUT
    assert not acme.holds()


def cached(made: Accountant, account) -> CachedHold:
    return CachedHold(
        made,
        request_id=uuid7(),
        tenant_id=account.tenant.id,
        project_id=account.project.id,
        api_key_id=account.api_key.id,
        upstream="mock",
        model="gpt-4o-mini",
        end_user=None,
        saved_pico=1_500_000,
        streamed=False,
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, 200), (asyncio.CancelledError(), 499)],
    ids=["served", "hung-up"],
)
def test_a_cached_answer_costs_nothing_and_tells_what_it_saved(acme, error, status):
    async def call():
        async with accountant() as made:
            with suppress(asyncio.CancelledError):
                async with cached(made, acme):
                    if error is not None:
                        raise error

    asyncio.run(call())
    entry = only_entry(acme)
    assert (entry.kind, entry.amount_pico, entry.held_pico) == ("cached", 0, 0)
    assert (entry.saved_pico, entry.price_state, entry.price_ids) == (1_500_000, "priced", [])
    assert (entry.usage, entry.status) == (NOTHING_USED, status)
    assert not acme.holds()


def test_a_cached_answer_that_was_never_served_saved_nothing(acme):
    """The database may have booked the hold although its word got lost on the way."""

    async def call():
        async with accountant() as made:
            return cached(made, acme).line(Unavailable("no word"))

    line = asyncio.run(call())
    assert (line.kind, line.saved_pico) == ("void", None)


def test_an_estimate_never_passes_the_hold(acme):
    """A vendor that sends a letter an event, and no usage, seems to send more than it may."""

    async def call():
        async with accountant() as made, held(made, acme) as hold:
            hold.observe_first_byte()
            hold.counted_output_tokens = 1_000

    asyncio.run(call())
    entry = only_entry(acme)
    assert entry.price_state == "estimated"
    assert entry.output_tokens <= 5
    assert entry.amount_pico <= entry.held_pico


@pytest.mark.parametrize("setting", ["on", "off"])
def test_a_database_that_is_read_only_for_a_while_loses_nothing(acme, setting):
    """As during a fail-over: that is no fault of the lines that are waiting."""
    read_only = "SELECT set_config('default_transaction_read_only', %s, false)"

    async def call():
        async with accountant() as made:
            async with held(made, acme) as hold:
                await made._settle_connection.fetch(read_only, [setting])
                hold.observe(Usage(input_tokens=4, output_tokens=2))
            await asyncio.sleep(0.2)
            await made._settle_connection.fetch(read_only, ["off"])

    asyncio.run(call())
    assert only_entry(acme).amount_pico == 4 * MODEL_PRICE_IN + 2 * MODEL_PRICE_OUT
    assert not acme.holds()
