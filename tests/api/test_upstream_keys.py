"""Which key of an upstream a call goes with, as the upstream sees it, in a running gateway."""

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import uuid4

import openai
import pytest

from providers.models import Upstream
from tests.cast import Account, add_mock_model, wait_until_served
from tests.gateway_process import GatewayProcess

# What the documentation promises, and a little for a busy machine.
NOTICE_SECONDS_MAX = 1.0 + 1.0

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}

LIMITED = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}


class Vendor(ThreadingHTTPServer):
    """Answers every call unless its key has reached its limit, and remembers the keys in order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys: list[str] = []
        # Seconds to wait, by key.
        self.limited: dict[str, int] = {}

    @property
    def key(self) -> str:
        return self.keys[-1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Vendor
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.server.keys.append(key)
        wait = self.server.limited.get(key)
        body = json.dumps(ANSWER if wait is None else LIMITED).encode()
        self.send_response(200 if wait is None else 429)
        if wait is not None:
            self.send_header("retry-after", str(wait))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """The test's output is not the place."""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as server:
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture
def upstream(live: str, vendor: Vendor) -> Iterator[Upstream]:
    made = Upstream.objects.create(
        slug=f"vendor-{uuid4().hex[:8]}", name="Vendor", dialect="openai", base_url=vendor.url
    )
    yield made
    made.delete()


def goes_with(vendor: Vendor, client: openai.OpenAI, model: str) -> str:
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    return vendor.key


def notice(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + NOTICE_SECONDS_MAX
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_replaced_one_is_noticed(
    gateway: GatewayProcess, client: openai.OpenAI, vendor: Vendor, upstream: Upstream
):
    credential = upstream.add_credential("sk-first")
    model = add_mock_model(f"m-{upstream.slug}", "m", upstream=upstream).name
    wait_until_served(client, model)
    assert goes_with(vendor, client, model) == "sk-first"
    credential.seal("sk-second")
    credential.save()
    notice(lambda: goes_with(vendor, client, model) == "sk-second")


def test_a_tenants_own_comes_first_and_is_nobody_elses(
    gateway: GatewayProcess,
    acme: Account,
    globex: Account,
    vendor: Vendor,
    upstream: Upstream,
):
    upstream.add_credential("sk-shared")
    upstream.add_credential("sk-acme", tenant=acme.tenant)
    model = add_mock_model(f"m-{upstream.slug}", "m", upstream=upstream).name
    with acme.client(gateway.url) as owner, globex.client(gateway.url) as stranger:
        wait_until_served(owner, model)
        for _ in range(3):
            assert goes_with(vendor, owner, model) == "sk-acme"
            assert goes_with(vendor, stranger, model) == "sk-shared"


def test_a_stranger_is_not_served_where_there_is_only_anothers(
    gateway: GatewayProcess,
    acme: Account,
    globex: Account,
    vendor: Vendor,
    upstream: Upstream,
):
    upstream.add_credential("sk-acme", tenant=acme.tenant)
    model = add_mock_model(f"m-{upstream.slug}", "m", upstream=upstream).name
    with acme.client(gateway.url) as owner, globex.client(gateway.url) as stranger:
        wait_until_served(owner, model)
        assert goes_with(vendor, owner, model) == "sk-acme"
        vendor.keys.clear()
        with pytest.raises(openai.APIStatusError):
            goes_with(vendor, stranger, model)
        assert vendor.keys == []


# A key that has reached its limit.


@pytest.fixture
def own_keys(acme: Account, upstream: Upstream, client: openai.OpenAI) -> str:
    """A model's name: Acme has two keys there, and may not use the operator's."""
    upstream.add_credential("sk-shared")
    for key in ("sk-one", "sk-two"):
        upstream.add_credential(key, tenant=acme.tenant, name=key)
    model = add_mock_model(f"m-{upstream.slug}", "m", upstream=upstream).name
    wait_until_served(client, model)
    return model


def test_another_key_takes_over_at_once(
    client: openai.OpenAI, acme: Account, vendor: Vendor, own_keys: str
):
    vendor.limited["sk-one"] = 60
    # Whichever of them has its turn.
    assert [goes_with(vendor, client, own_keys) for _ in range(2)] == ["sk-two"] * 2
    assert vendor.keys.count("sk-one") == 1
    assert "sk-shared" not in vendor.keys
    refused, *served = sorted(acme.lines(3), key=lambda line: line.status != 429)
    assert (refused.kind, refused.amount_pico, refused.byok) == ("void", 0, True)
    assert [line.status for line in served] == [200, 200]


def test_it_is_used_again_once_it_has_rested(client: openai.OpenAI, vendor: Vendor, own_keys: str):
    vendor.limited["sk-one"] = 1
    for _ in range(2):
        goes_with(vendor, client, own_keys)
    vendor.limited.clear()
    vendor.keys.clear()
    time.sleep(1)
    assert {goes_with(vendor, client, own_keys) for _ in range(2)} == {"sk-one", "sk-two"}


def test_if_all_are_limited_the_caller_hears_how_long(
    client: openai.OpenAI, vendor: Vendor, own_keys: str
):
    vendor.limited |= {"sk-one": 60, "sk-two": 50}
    with pytest.raises(openai.RateLimitError):
        goes_with(vendor, client, own_keys)
    assert sorted(vendor.keys) == ["sk-one", "sk-two"]
    # Nobody is asked any more, and what is told is when the first of them has rested.
    with pytest.raises(openai.RateLimitError) as caught:
        goes_with(vendor, client, own_keys)
    assert 45 <= int(caught.value.response.headers["retry-after"]) <= 50
    assert len(vendor.keys) == 2
