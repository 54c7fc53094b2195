"""A provider that is slow: every wait is bounded, says so in the right shape, and is settled."""

import time
from collections.abc import Iterator

import openai
import pytest

from tests.cast import Account
from tests.conftest import Ask
from tests.gateway_process import GatewayProcess


@pytest.fixture(scope="module")
def gateway(live_database_url: str) -> Iterator[GatewayProcess]:
    """An impatient one, in place of the run's."""
    with GatewayProcess(
        live_database_url,
        RUNESTONE_FIRST_BYTE_SECONDS_MAX="0.5",
        RUNESTONE_IDLE_SECONDS_MAX="0.5",
        RUNESTONE_TOTAL_SECONDS_MAX="2",
    ) as running:
        yield running


@pytest.mark.parametrize("how", ["hang", "slow_headers=30"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_nothing_comes(ask: Ask, acme: Account, how: str, stream: bool):
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as caught:
        ask(how, stream=stream)
    assert time.monotonic() - started < 2
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")
    [line] = acme.lines()
    # It may work on, and bill: charged as an estimate, to be reconciled.
    assert (line.status, line.price_state, line.output_tokens) == (504, "estimated", 0)


def test_it_falls_silent_in_mid_stream(ask: Ask, acme: Account):
    with pytest.raises(openai.APIError) as caught:
        list(ask("gap=1.5;chunks=6", stream=True))
    assert caught.value.code == "upstream_timeout"
    [line] = acme.lines()
    assert (line.status, line.price_state) == (504, "estimated")


def test_it_never_ends(ask: Ask, acme: Account):
    started = time.monotonic()
    with pytest.raises(openai.APIError):
        list(ask("gap=0.1;chunks=500", stream=True))
    assert 1.5 < time.monotonic() - started < 4
    [line] = acme.lines()
    assert line.status == 504
    assert line.output_tokens >= 10
