"""What a key may do, where it may come from, and calls without one; over sockets, by the SDK."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import openai
import pytest
from django.utils import timezone

from tenants.models import ApiKey, Tenant
from tests.api.test_errors import post
from tests.cast import Account, open_account
from tests.gateway_process import GatewayProcess

MESSAGES = [{"role": "user", "content": "Hi"}]
# Of the tenant on whose account calls without a key run.
OPEN_HOUSE = "open-house"


def limit(account: Account, **limits: Any) -> None:
    """Before the key's first call, so that no gateway has to notice."""
    for name, value in limits.items():
        setattr(account.api_key, name, value)
    account.api_key.full_clean()
    account.api_key.save()


def refusal(client: openai.OpenAI, model: str, **options: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=MESSAGES, **options)
    return caught.value


def test_it_works(gateway: GatewayProcess, acme: Account, globex: Account):
    limit(acme, models_allow=["gpt-4o-mini", "echo"], scopes=["inference", "models"])
    limit(acme, ip_allow=["127.0.0.0/8", "::1/128"])
    with acme.client(gateway.url) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert {model.id for model in client.models.list()} == {"echo", "gpt-4o-mini"}
    with globex.client(gateway.url) as stranger:
        stranger.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    acme.lines(1)
    globex.lines(1)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_model_that_a_key_may_not_use_does_not_exist(
    gateway: GatewayProcess, acme: Account, globex: Account, stream: bool
):
    limit(acme, models_allow=["gpt-4o-*"])
    with acme.client(gateway.url) as client, globex.client(gateway.url) as stranger:
        hidden = refusal(client, "gpt-4o", stream=stream)
        unknown = refusal(client, "gpt-9x", stream=stream)
        assert (hidden.status_code, hidden.code) == (404, "model_not_found")
        assert hidden.message.replace("gpt-4o", "gpt-9x") == unknown.message
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-4o")
        assert stranger.models.retrieve("gpt-4o").id == "gpt-4o"
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    acme.lines(1)


def test_every_endpoint_obeys_the_list(gateway: GatewayProcess, acme: Account, globex: Account):
    limit(acme, models_allow=["nothing-there-is"])
    calls: list[tuple[str, dict[str, Any], int]] = [
        ("/chat/completions", {"model": "gpt-4o", "messages": MESSAGES}, 404),
        ("/chat/stream", {"model": "gpt-4o", "messages": MESSAGES}, 404),
        ("/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "x"}, 404),
        ("/embeddings", {"model": "text-embedding-3-small", "input": "x"}, 404),
        ("/moderations", {"input": "x"}, 404),
        # OpenAI itself answers 400 here.
        ("/responses", {"model": "gpt-4o", "input": "x"}, 400),
        ("/messages", {"model": "gpt-4o", "max_tokens": 9, "messages": MESSAGES}, 404),
        ("/messages/count_tokens", {"model": "gpt-4o", "messages": MESSAGES}, 404),
    ]
    for path, body, expected in calls:
        status, _, answer = post(gateway, json.dumps(body).encode(), acme.key, path)
        assert (path, status) == (path, expected), answer
        assert post(gateway, json.dumps(body).encode(), globex.key, path)[0] == 200, path
    acme.lines(0)


def test_a_key_needs_the_scope_of_what_it_does(
    gateway: GatewayProcess, acme: Account, globex: Account
):
    limit(acme, scopes=["models"])
    limit(globex, scopes=["inference"])
    with acme.client(gateway.url) as reader, globex.client(gateway.url) as worker:
        assert list(reader.models.list())
        refused = refusal(reader, "gpt-4o-mini")
        assert isinstance(refused, openai.PermissionDeniedError)
        assert refused.code == "insufficient_permissions"
        assert "Missing scopes: inference" in refused.message
        worker.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        with pytest.raises(openai.PermissionDeniedError, match="Missing scopes: models"):
            worker.models.list()
    acme.lines(0)


def test_another_address_is_refused(gateway: GatewayProcess, acme: Account, globex: Account):
    limit(acme, ip_allow=["10.0.0.0/8"])
    spoofed = {"x-forwarded-for": "10.0.0.1"}
    with acme.client(gateway.url, default_headers=spoofed) as client:
        refused = refusal(client, "gpt-4o-mini")
        assert (refused.status_code, refused.code) == (403, "ip_not_authorized")
        assert "127.0.0.1" in refused.message
    with globex.client(gateway.url, default_headers=spoofed) as stranger:
        stranger.models.list()
    acme.lines(0)


def test_a_taken_away_right_is_gone_within_a_second(client: openai.OpenAI, acme: Account):
    client.models.list()
    limit(acme, scopes=["inference"])
    deadline = timezone.now() + timedelta(seconds=1)
    with pytest.raises(openai.PermissionDeniedError):
        while timezone.now() < deadline:
            client.models.list()


# Without authentication, behind a proxy.


@pytest.fixture(scope="module")
def open_gateway(live_database_url: str) -> Iterator[GatewayProcess]:
    with GatewayProcess(
        live_database_url,
        RUNESTONE_AUTH_ENABLED="false",
        RUNESTONE_ANONYMOUS_TENANT=OPEN_HOUSE,
        RUNESTONE_TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8",
    ) as running:
        yield running


@pytest.fixture
def house(live: str) -> Account:
    """The tenant of calls without a key."""
    account = open_account("House")
    Tenant.objects.filter(slug=OPEN_HOUSE).update(slug=account.tenant.slug + "-before")
    account.tenant.slug = OPEN_HOUSE
    account.tenant.save()
    return account


def ask_without_a_key(gateway: GatewayProcess, **headers: str) -> tuple[int, bytes]:
    body = json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES}).encode()
    named = {"content-type": "application/json"} | headers
    request = urllib.request.Request(f"{gateway.url}/chat/completions", body, named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_until_let_in(gateway: GatewayProcess) -> None:
    deadline = timezone.now() + timedelta(seconds=2)
    while ask_without_a_key(gateway)[0] != 200:
        assert timezone.now() < deadline


def test_calls_without_a_key_run_as_the_first_key(
    open_gateway: GatewayProcess, house: Account, globex: Account
):
    ApiKey.mint(tenant=house.tenant, name="second")
    wait_until_let_in(open_gateway)
    [line] = house.lines(1)
    assert line.api_key_id == house.api_key.pk
    globex.lines(0)
    with globex.client(open_gateway.url) as stranger:
        stranger.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        with pytest.raises(openai.AuthenticationError):
            stranger.with_options(api_key="sk-wrong").models.list()
    house.lines(1)
    globex.lines(1)


def test_an_open_door_is_told_loudly(
    open_gateway: GatewayProcess, gateway: GatewayProcess, house: Account
):
    assert "WARNING" in open_gateway.log
    assert "AUTHENTICATION IS OFF (RUNESTONE_AUTH_ENABLED=false)" in open_gateway.log
    assert "without a key" in health(open_gateway)["authentication"]
    assert "authentication" not in health(gateway)
    assert "AUTHENTICATION" not in gateway.log


def health(gateway: GatewayProcess) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{gateway.root}/health", timeout=10) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


@pytest.mark.parametrize(
    ("forwarded", "welcome"),
    [
        ("192.0.2.7", True),
        ("192.0.2.7:4711", True),
        ("::ffff:192.0.2.7", True),
        # What a proxy of ours did not add, the caller may have made up.
        ("192.0.2.7, 198.51.100.1", False),
        ("198.51.100.1, 192.0.2.7", True),
        ("198.51.100.1, 192.0.2.7, 10.1.2.3", True),
        ("192.0.2.7, rubbish", False),
        ("rubbish", False),
        ("", False),
    ],
)
def test_behind_a_trusted_proxy_the_nearest_stranger_counts(
    open_gateway: GatewayProcess, acme: Account, globex: Account, forwarded: str, welcome: bool
):
    limit(acme, ip_allow=["192.0.2.0/24"])
    limit(globex, ip_allow=["203.0.113.0/24"])
    told = {"x-forwarded-for": forwarded}
    with acme.client(open_gateway.url, default_headers=told) as client:
        if welcome:
            client.models.list()
        else:
            with pytest.raises(openai.PermissionDeniedError):
                client.models.list()
    with globex.client(open_gateway.url, default_headers=told) as stranger:
        with pytest.raises(openai.PermissionDeniedError):
            stranger.models.list()
