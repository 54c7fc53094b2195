import json
import os
import signal
import threading
import urllib.error
import urllib.request

import openai
import pytest

from runestone.local.mock_provider import bill as bills
from runestone.local.mock_provider.prices import PriceTable
from runestone.local.mock_provider.process import MockProvider
from tests.mock_provider import raw

SCENARIOS = ["", "reasoning=3;cached=2", "cut=2", "midstream_error=1", "cut_json", "no_usage"]
MODELS = ["gpt-4o-mini", "gpt-4o", "mock-normal", "somebody/else", "gpt-4o:chunks=9"]


def messages(text="one two three"):
    return [{"role": "user", "content": text}]


def get(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as reply:
        return json.load(reply)


def amount(line, prices):
    price = prices.of(line["model"])
    fresh = line["prompt_tokens"] - line["cached_tokens"]
    return (
        fresh * price.input
        + line["cached_tokens"] * price.cached_input
        + line["completion_tokens"] * price.output
    )


def call_all(provider):
    for number, scenario in enumerate(SCENARIOS):
        for model in MODELS:
            body = {"model": model, "messages": messages(), "stream": number % 2 == 1}
            raw.call(provider.url, raw.request(body, x_mock_scenario=scenario))


def test_it_works(ask, line, attempt):
    ask()
    read = line()
    assert read.pop("at").endswith("+00:00")
    assert read.pop("request").startswith("req_")
    assert read == {
        "attempt": attempt,
        "model": "gpt-4o-mini",
        "prompt_tokens": 4,
        "cached_tokens": 0,
        "written_tokens": 0,
        "written_1h_tokens": 0,
        "completion_tokens": 4,
        "reasoning_tokens": 0,
        "service_tier": "default",
        "amount_pico": 4 * 150_000 + 4 * 600_000,
        "status": 200,
        "streamed": False,
        "finished": True,
    }


def test_the_sum_is_the_lines():
    with MockProvider() as provider:
        call_all(provider)
        lines = provider.bill()
        assert len(lines) == len(SCENARIOS) * len(MODELS)
        assert [amount(x, PriceTable()) for x in lines] == [x["amount_pico"] for x in lines]
        whole = get(provider.root + "/bill")
        assert whole["lines"] == lines
        assert whole["count"] == len(lines)
        assert (
            whole["amount_pico"] == provider.amount_pico() == sum(x["amount_pico"] for x in lines)
        )


def test_one_attempt_can_be_asked_for(ask, provider, attempt, line):
    ask()
    assert get(f"{provider.root}/bill?attempt={attempt}")["lines"] == [line()]
    assert get(f"{provider.root}/bill?attempt=nobody") == {
        "lines": [],
        "amount_pico": 0,
        "count": 0,
    }


def test_prices_can_be_given():
    with MockProvider(prices={"mine": {"input": 7, "cached_input": 3, "output": 11}}) as provider:
        body = {"model": "mine:cached=1", "messages": messages()}
        raw.call(provider.url, raw.request(body))
        assert provider.bill()[0]["amount_pico"] == 2 * 7 + 1 * 3 + 3 * 11


def test_the_bill_cannot_be_deleted(ask, provider, attempt):
    ask()
    refused = urllib.request.Request(provider.root + "/bill", method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(refused)
    with caught.value as reply:
        assert reply.code == 405
    assert len(provider.bill(attempt)) == 1


def test_embeddings_are_billed(client, line):
    reply = client.embeddings.create(model="text-embedding-3-small", input=["a b", "c"])
    assert reply.usage.prompt_tokens == 3
    assert line()["amount_pico"] == 3 * 20_000


def test_kill_9_keeps_every_line():
    """All that a client has been answered is on the bill, whenever the kill comes."""
    with MockProvider() as provider:
        answered = []
        callers = [
            threading.Thread(target=call_until_dead, args=(provider, answered)) for _ in "abcd"
        ]
        for caller in callers:
            caller.start()
        provider.wait(lambda calls: calls["finished"] > 300, seconds_max=20)
        os.kill(provider.pid, signal.SIGKILL)
        for caller in callers:
            caller.join()
        billed = [line["request"] for line in provider.bill()]
        assert len(answered) > 200
        assert set(answered) <= set(billed)
        assert len(billed) == len(set(billed))


def call_until_dead(provider, answered):
    with openai.OpenAI(base_url=provider.url, api_key="any", max_retries=0) as client:
        try:
            while True:
                reply = client.chat.completions.create(model="gpt-4o", messages=messages())
                answered.append(reply._request_id)
        except openai.APIConnectionError:
            pass


def test_a_restart_goes_on_with_the_same_bill():
    with MockProvider() as provider:
        body = {"model": "gpt-4o", "messages": messages()}
        raw.call(provider.url, raw.request(body))
        provider.kill()
        assert len(provider.bill()) == 1
        provider.start()
        raw.call(provider.url, raw.request(body))
        assert get(provider.root + "/bill")["count"] == 2


def test_a_torn_line_is_no_line(tmp_path):
    path = tmp_path / "bill.jsonl"
    path.write_bytes(b'{"attempt":null,"request":"r","model":"m","prompt_tokens":1}\n{"att')
    assert [line.request for line in bills.read(path)] == ["r"]
