"""A caller that hangs up: the upstream call ends at once, and what it used is settled."""

import json
import socket
import time

import httpx
import openai
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.bills import reconcile_with
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

STOP_SECONDS_MAX = 0.5
LONG = "chunks=500;gap=0.02"
TEXT = [{"role": "user", "content": "the quick brown fox jumps over the lazy dog " * 5}]


def test_it_stops_the_upstream_call_and_settles(
    client: openai.OpenAI, scenario: Scenario, acme: Account, mock_provider: MockProvider
):
    model = scenario(LONG)
    stream = client.chat.completions.create(model=model, messages=TEXT, stream=True)
    for _, _ in zip(range(10), stream, strict=False):
        pass
    [hold] = acme.holds()
    hung_up = time.monotonic()
    stream.close()

    calls = mock_provider.wait(
        lambda calls: any(each["attempt"] == str(hold.id) for each in calls["hang_ups"])
    )
    [noticed] = [each for each in calls["hang_ups"] if each["attempt"] == str(hold.id)]
    assert noticed["monotonic"] - hung_up < STOP_SECONDS_MAX
    [line] = acme.lines()
    assert (line.status, line.error) == (499, "client_closed_request")
    assert (line.price_state, line.usage_source) == ("estimated", "counted")
    assert 0 < line.output_tokens < 500
    assert acme.window().pending_pico == 0
    assert acme.window().posted_pico == line.amount_pico


def test_the_providers_bill_corrects_the_estimate(
    client: openai.OpenAI, scenario: Scenario, acme: Account, mock_provider: MockProvider
):
    stream = client.chat.completions.create(model=scenario(LONG), messages=TEXT, stream=True)
    next(iter(stream))
    stream.close()
    [line] = acme.lines()
    mock_provider.wait(lambda calls: mock_provider.bill(str(line.id)))
    [billed] = mock_provider.bill(str(line.id))

    for _ in range(2):  # the second time changes nothing
        reconcile_with([billed], [line.id])
        original, correction = acme.lines(2)
        assert original == line
        assert original.amount_pico + correction.amount_pico == billed["amount_pico"]
        assert correction.corrects == line.id
    assert acme.window().posted_pico == billed["amount_pico"]


def test_a_caller_that_leaves_before_the_first_byte(
    gateway: GatewayProcess, scenario: Scenario, acme: Account, mock_provider: MockProvider
):
    body = json.dumps({"model": scenario("slow_headers=30"), "messages": TEXT, "stream": True})
    with socket.create_connection(("127.0.0.1", gateway.port)) as caller:
        caller.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {acme.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )
        mock_provider.wait(lambda calls: acme.holds())
        [hold] = acme.holds()
    [line] = acme.lines()
    assert (line.id, line.status) == (hold.id, 499)


def test_a_json_caller_that_leaves_is_charged_what_the_provider_reports(
    gateway: GatewayProcess, scenario: Scenario, acme: Account, mock_provider: MockProvider
):
    """The provider works on and bills, so its answer is awaited although nobody wants it."""
    with acme.client(gateway.url, timeout=httpx.Timeout(0.3)) as impatient:
        with pytest.raises(openai.APITimeoutError):
            impatient.chat.completions.create(model=scenario("delay=1"), messages=TEXT)
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert (line.amount_pico, line.price_state) == (billed["amount_pico"], "priced")


def test_the_next_call_is_served(client: openai.OpenAI, scenario: Scenario, acme: Account):
    for _ in range(20):
        stream = client.chat.completions.create(model=scenario(LONG), messages=TEXT, stream=True)
        next(iter(stream))
        stream.close()
    client.chat.completions.create(model="gpt-4o-mini", messages=TEXT)
    assert acme.lines(21)[-1].status == 200


# The tenant may want to know what was really used.


@pytest.fixture
def draining(acme: Account) -> Account:
    acme.tenant.disconnect_policy = "drain"
    acme.tenant.save()
    time.sleep(1)
    return acme


def test_an_answer_may_be_read_on_for_its_usage(
    client: openai.OpenAI, scenario: Scenario, draining: Account, mock_provider: MockProvider
):
    stream = client.chat.completions.create(
        model=scenario("chunks=60;gap=0.02"), messages=TEXT, stream=True
    )
    next(iter(stream))
    stream.close()
    [line] = draining.lines()
    assert (line.status, line.error) == (499, "client_closed_drained")
    assert (line.price_state, line.usage_source, line.output_tokens) == ("priced", "reported", 60)
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"]


def test_it_is_not_read_on_for_ever(
    live_database_url: str, client: openai.OpenAI, scenario: Scenario, draining: Account
):
    model = scenario("chunks=500;gap=0.05")
    options = {"RUNESTONE_DRAIN_SECONDS_MAX": "0.5"}
    with (
        GatewayProcess(live_database_url, **options) as impatient,
        draining.client(impatient.url) as asking,
    ):
        stream = asking.chat.completions.create(model=model, messages=TEXT, stream=True)
        next(iter(stream))
        started = time.monotonic()
        stream.close()
        [line] = draining.lines()
        assert time.monotonic() - started < 3
    assert (line.error, line.usage_source) == ("client_closed_drained", "counted")
    assert line.price_state == "estimated"
    assert 1 < line.output_tokens < 100


def test_a_graceful_stop_waits_for_what_is_read_on(
    live_database_url: str, client: openai.OpenAI, scenario: Scenario, draining: Account
):
    model = scenario("chunks=40;gap=0.05")
    with (
        GatewayProcess(live_database_url) as stopping,
        draining.client(stopping.url) as asking,
    ):
        stream = asking.chat.completions.create(model=model, messages=TEXT, stream=True)
        next(iter(stream))
        stream.close()
        time.sleep(0.3)
        stopping.stop()
    [line] = draining.lines()
    assert (line.error, line.output_tokens) == ("client_closed_drained", 40)
