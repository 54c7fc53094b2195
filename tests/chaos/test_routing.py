"""Upstreams die and misbehave under traffic: every call is answered while one of them is well.

Of one model's three upstreams one is killed and comes back, one answers at random with 429, 500,
garbage and streams that are cut off, and one is well. A stream that is cut off after its first word
cannot be rescued: it ends with an error event.

`make chaos` does it with 2,000 calls (RUNESTONE_CHAOS_CALLS) and tells what came of them.
"""

import asyncio
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from billing.models import Entry
from tests.bills import reconcile_with
from tests.cast import Account, open_account, wait_until_served
from tests.chaos.books import Balance, failures_put_up_with, is_fault, posted
from tests.chaos.callers import Ending, Story, Traffic
from tests.chaos.upstreams import STEADY, UNSTEADY, Upstreams, upstreams
from tests.chaos.watch import Watch, is_closed, is_open
from tests.gateway_process import GatewayProcess

CALLS = int(os.environ.get("RUNESTONE_CHAOS_CALLS", "0"))
SEED = int(os.environ.get("RUNESTONE_CHAOS_SEED", "7"))
CALLS_PER_SECOND = 40
# In the suite: a look, at an outage that is over before its upstream is tried again.
CALLS_MIN = CALLS or 400
OUTAGE_SECONDS = 8.0 if CALLS else 0.5
CALM_SECONDS = 0.5
UNSTEADY_SECONDS = 2.0
# What is promised …
FAILURES_MAX = 10
# … and what two trials, the polls of gateway and watch and a busy machine may add.
CLOSE_SECONDS_SLACK = 3.0
TENANTS = 4
# Of one of the tenants: less than an answer in JSON takes.
HEDGE_SECONDS = 0.02


@dataclass
class Play:
    """What was seen while it went on."""

    stories: list[Story]
    # By upstream, from the moment it is well again: until it may be tried, and until it is closed.
    probe_seconds: dict[str, float]
    close_seconds: dict[str, float]


@pytest.fixture
def made(live: str, tmp_path: Path) -> Iterator[Upstreams]:
    with upstreams(tmp_path / "bill.jsonl", SEED) as found:
        yield found


@pytest.fixture
def gateway(live: str, made: Upstreams) -> Iterator[GatewayProcess]:
    options = {"RUNESTONE_REPETITIONS_MAX": "1", "RUNESTONE_BREAKERS_ENABLED": "true"}
    with GatewayProcess(live, **options) as running:
        yield running


@pytest.fixture
def accounts(live: str) -> list[Account]:
    opened = [open_account(f"Tenant{number}", budget_usd="1000") for number in range(TENANTS)]
    hedged = opened[-1].tenant
    hedged.hedge_seconds = HEDGE_SECONDS
    hedged.save()
    return opened


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each of thousands of requests tells nobody anything."""
    for name in ("httpx", "httpx2"):
        caplog.set_level(logging.WARNING, logger=name)


@pytest.mark.usefixtures("quiet")
def test_every_call_is_answered_while_one_upstream_is_well(
    gateway: GatewayProcess, made: Upstreams, accounts: list[Account]
):
    with accounts[0].client(gateway.url) as client:
        wait_until_served(client, made.model)
    played = play(gateway, made, accounts)
    made.lasting.wait(lambda calls: calls["in_flight"] == 0)
    lines = [line for account in accounts for line in account.settled()]
    before = Balance.of(made.bill(), accounts)
    corrected = reconcile_with(made.bill(), {line.id for line in lines}).corrected
    after = Balance.of(made.bill(), accounts)
    failures = {
        upstream: failures_put_up_with([line for line in lines if line.upstream == upstream])
        for upstream in (made.doomed, made.erratic)
    }
    if CALLS:
        tell(
            *figures(played, lines, failures),
            f"before reconciliation: {before}; {len(corrected)} lines corrected",
            f"after it: {after}",
        )

    assert len(played.stories) >= CALLS_MIN
    amiss = [each for each in played.stories if each.ending in (Ending.REFUSED, Ending.SILENT)]
    assert not amiss
    endings = {each.ending for each in played.stories}
    assert endings >= {Ending.ANSWERED, Ending.LEFT}
    # In a short run chance may spare everybody.
    assert Ending.BROKEN in endings or not CALLS
    assert max(failures.values()) < FAILURES_MAX, failures
    for upstream, seconds in played.close_seconds.items():
        assert seconds <= played.probe_seconds[upstream] + CLOSE_SECONDS_SLACK, upstream
    assert {each["attempt"] for each in made.bill()} <= {str(line.id) for line in lines}
    assert after.bill == after.ledger
    for account in accounts:
        assert not account.holds()
        window = account.window()
        assert (window.posted_pico, window.pending_pico) == (posted([account]), 0)
    assert "Traceback" not in gateway.log


def play(gateway: GatewayProcess, made: Upstreams, accounts: list[Account]) -> Play:
    failing = (made.doomed, made.erratic)
    dice = random.Random(SEED)
    traffic = Traffic(accounts, gateway.url, made.model, CALLS_MIN, CALLS_PER_SECOND, dice)
    with ThreadPoolExecutor(1) as aside, httpx.Client() as client, ending(traffic):
        flowing = aside.submit(asyncio.run, traffic.flow())
        watch = Watch(gateway, client)
        time.sleep(CALM_SECONDS)
        made.mortal.kill()
        watch.until(failing, is_open)
        time.sleep(OUTAGE_SECONDS)
        made.change(STEADY)
        made.mortal.start()
        told = watch.told()
        probes = {upstream: told[upstream]["open_for_seconds"] for upstream in failing}
        closed = watch.until(failing, is_closed)
        made.change(UNSTEADY)
        time.sleep(UNSTEADY_SECONDS)
        traffic.may_end.set()
        return Play(flowing.result(), probes, closed)


@contextmanager
def ending(traffic: Traffic) -> Iterator[None]:
    """It ends even if what goes on beside it fails."""
    try:
        yield
    finally:
        traffic.may_end.set()


def figures(played: Play, lines: list[Entry], failures: dict[str, int]) -> Iterator[str]:
    attempts = Counter(line.request_id for line in lines)
    yield f"seed {SEED}: {len(played.stories):,} calls by {TENANTS} tenants"
    for ending, count in Counter(each.ending for each in played.stories).most_common():
        yield f"    {count:6,} {ending}"
    yield (
        f"{len(lines):,} attempts; {sum(count > 1 for count in attempts.values()):,} calls needed "
        f"more than one, {max(attempts.values())} at most"
    )
    for upstream, count in failures.items():
        of_it = [line for line in lines if line.upstream == upstream]
        yield (
            f"{upstream}: {len(of_it):,} attempts, {sum(map(is_fault, of_it))} failed; asked "
            f"no more after {count} known failures; to be left alone for "
            f"{played.probe_seconds[upstream]:.1f} s when it was well again, closed after "
            f"{played.close_seconds[upstream]:.1f} s"
        )


def tell(*told: str) -> None:
    sys.stdout.write("\n" + "\n".join(told) + "\n")
