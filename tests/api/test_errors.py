"""Each way a call can fail, as the SDK's own exception, and what it leaves in the ledger."""

import json
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

import httpx
import openai
import pytest
from django.utils import timezone

from providers.models import Upstream
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.conftest import Ask
from tests.gateway_process import GatewayProcess


def post(
    gateway: GatewayProcess, body: bytes, key: str, path: str = "/chat/completions", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A raw POST: status, headers, body."""
    named = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(
        gateway.url + path,
        data=body,
        headers=named | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


# The caller's key.


def test_no_key(gateway: GatewayProcess, acme: Account):
    status, _, body = post(gateway, b"{}", "")
    error = json.loads(body)["error"]
    assert (status, error["type"], error["code"]) == (401, "invalid_request_error", None)
    assert "provide an API key" in error["message"]


@pytest.mark.parametrize("key", ["sk-not-one-of-ours", "sk-rs-" + "0" * 61, "x" * 5_000])
def test_a_wrong_key(gateway: GatewayProcess, key: str):
    with openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
    assert caught.value.code == "invalid_api_key"
    assert key not in str(caught.value)


def test_a_revoked_key_is_refused_within_a_second(client: openai.OpenAI, acme: Account):
    client.models.list()
    acme.api_key.revoke()
    deadline = timezone.now() + timedelta(seconds=1)
    with pytest.raises(openai.AuthenticationError):
        while timezone.now() < deadline:
            client.models.list()


def test_an_expired_key(gateway: GatewayProcess, acme: Account):
    acme.api_key.expires_at = timezone.now() - timedelta(seconds=1)
    acme.api_key.save()
    with acme.client(gateway.url) as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_suspended_tenant(gateway: GatewayProcess, acme: Account):
    acme.tenant.status = acme.tenant.Status.SUSPENDED
    acme.tenant.save()
    with acme.client(gateway.url) as client, pytest.raises(openai.PermissionDeniedError) as caught:
        client.models.list()
    assert caught.value.code == "account_suspended"


# The caller's request.

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("fields", "param", "code", "words"),
    [
        ({"messages": []}, "messages", "empty_array", "empty array"),
        ({}, "messages", "missing_required_parameter", "'messages'"),
        ({"messages": "Hi"}, "messages", "invalid_type", "expected an array"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter", ""),
        (
            {"messages": [{"role": "wizard", "content": "x"}]},
            "messages[0].role",
            "invalid_value",
            '"wizard"',
        ),
        (
            {"messages": [*MESSAGES, {"role": "user", "content": 5}]},
            "messages[1].content",
            "invalid_type",
            "integer",
        ),
        (
            {"messages": MESSAGES, "temperature": 2.5},
            "temperature",
            "decimal_above_max_value",
            "got 2.5",
        ),
        (
            {"messages": MESSAGES, "temperature": -1},
            "temperature",
            "decimal_below_min_value",
            ">= 0",
        ),
        ({"messages": MESSAGES, "n": 0}, "n", "integer_below_min_value", "got 0"),
        ({"messages": MESSAGES, "n": 129}, "n", "integer_above_max_value", "<= 128"),
        ({"messages": MESSAGES, "n": 1.5}, "n", "invalid_type", "integer"),
        ({"messages": MESSAGES, "max_tokens": "many"}, "max_tokens", "invalid_type", "a string"),
        ({"messages": MESSAGES, "stream": "yes"}, "stream", "invalid_type", "a boolean"),
    ],
)
def test_a_bad_request_names_its_place(
    client: openai.OpenAI, acme: Account, fields: dict[str, Any], param: str, code: str, words: str
):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body={"model": "gpt-4o-mini", **fields}, cast_to=object)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert words in caught.value.message
    acme.lines(0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"nul"])
def test_malformed_json(gateway: GatewayProcess, acme: Account, body: bytes):
    status, headers, answer = post(gateway, body, acme.key)
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_bound(gateway: GatewayProcess, acme: Account):
    status, _, answer = post(gateway, b" " * (10 * 1024 * 1024 + 1), acme.key)
    assert status == 413
    assert json.loads(answer)["error"]["code"] == "request_too_large"


def test_a_body_that_is_not_json(gateway: GatewayProcess, acme: Account):
    status, _, answer = post(gateway, b"a=b", acme.key, content_type="text/plain")
    assert status == 415
    assert "Content-Type" in json.loads(answer)["error"]["message"]


def test_an_unknown_model(ask: Ask, acme: Account):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(model="gpt-99")
    assert caught.value.code == "model_not_found"
    assert "`gpt-99`" in caught.value.message
    acme.lines(0)


@pytest.mark.parametrize("path", ["", "/", "/nowhere", "/chat", "/models/a/b/c"])
def test_an_unknown_url(gateway: GatewayProcess, acme: Account, path: str):
    status, headers, answer = post(gateway, b"{}", acme.key, path)
    assert status in (404, 405)
    assert headers["content-type"] == "application/json"
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"


def test_a_wrong_method(client: openai.OpenAI):
    with pytest.raises(openai.APIStatusError) as caught:
        client.get("/chat/completions", cast_to=object)
    assert caught.value.status_code == 405
    assert caught.value.code == "method_not_supported"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/chat/completions", {"POST"}),
        ("DELETE", "/chat/stream", {"POST"}),
        ("PUT", "/embeddings", {"POST"}),
        ("POST", "/models", {"GET", "HEAD"}),
        ("DELETE", "/models/gpt-4o-mini", {"GET", "HEAD"}),
        ("PATCH", "/responses", {"POST"}),
        ("PUT", "/responses/resp_1", {"GET", "HEAD", "DELETE"}),
        ("GET", "/responses/resp_1/cancel", {"POST"}),
        ("GET", "/messages", {"POST"}),
        ("OPTIONS", "/moderations", {"POST"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    gateway: GatewayProcess, acme: Account, method: str, path: str, allowed: set[str]
):
    headers = {"authorization": f"Bearer {acme.key}"}
    answer = httpx.request(method, gateway.url + path, headers=headers)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert path == "/messages" or error["code"] == "method_not_supported"


# The caller's money.


def test_a_budget_used_up(gateway: GatewayProcess, live: str):
    poor = open_account("Poor", budget_usd="0.000001")
    with poor.client(gateway.url, max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert "tenant's budget of $0.000001 per month" in caught.value.message
    poor.lines(0)
    assert poor.window().pending_pico == 0


def test_a_budget_used_up_refuses_a_stream_as_json(gateway: GatewayProcess, live: str):
    poor = open_account("Poor", budget_usd="0")
    with poor.client(gateway.url) as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)


def test_an_unknown_price_is_refused_under_a_hard_budget(
    gateway: GatewayProcess, client: openai.OpenAI, acme: Account
):
    add_mock_model("unpriced-hard", "gpt-4o-mini", priced=False)
    wait_until_served(client, "unpriced-hard")
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="unpriced-hard", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.code) == (402, "model_not_priced")
    acme.lines(0)


def test_an_unknown_price_is_never_zero(gateway: GatewayProcess, live: str):
    free = open_account("Free", budget_usd="1", hard=False)
    with free.client(gateway.url) as client:
        add_mock_model("unpriced-soft", "gpt-4o-mini", priced=False)
        wait_until_served(client, "unpriced-soft")
        client.chat.completions.create(model="unpriced-soft", messages=MESSAGES)
    [line] = free.lines()
    assert (line.amount_pico, line.price_state) == (None, "unpriced")
    assert line.input_tokens == 1


# The provider.


def assert_not_charged(acme: Account, status: int) -> None:
    [line] = acme.lines()
    assert (line.amount_pico, line.kind, line.status) == (0, "void", status)
    assert acme.window().pending_pico == acme.window().posted_pico == 0


@pytest.mark.parametrize(
    ("how", "exception", "status"),
    [
        ("error=400", openai.BadRequestError, 400),
        ("error=401", openai.InternalServerError, 502),
        ("error=403", openai.InternalServerError, 502),
        ("error=404", openai.InternalServerError, 502),
        ("error=422", openai.UnprocessableEntityError, 422),
        ("error=429", openai.RateLimitError, 429),
        ("error=429;code=insufficient_quota", openai.InternalServerError, 503),
        ("error=500", openai.InternalServerError, 502),
        ("error=503", openai.InternalServerError, 503),
        ("error=529", openai.InternalServerError, 503),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_provider_that_refuses(
    ask: Ask, acme: Account, how: str, exception: type[Exception], status: int, stream: bool
):
    with pytest.raises(exception) as caught:
        ask(how, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.code != "invalid_api_key"
    assert_not_charged(acme, status)


def test_a_provider_that_asks_to_wait(ask: Ask):
    with pytest.raises(openai.RateLimitError) as caught:
        ask("error=429;retry_after=7")
    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("how", ["garbage", "empty", "cut_json", "drop", "json_for_stream"])
def test_a_provider_that_answers_nonsense(ask: Ask, acme: Account, how: str):
    with pytest.raises(openai.InternalServerError) as caught:
        ask(how, stream=how == "json_for_stream")
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_broken")
    [line] = acme.lines()
    # It may have worked, and so may bill: what it got is charged as an estimate, to be reconciled.
    assert (line.status, line.price_state) == (502, "estimated")


def test_a_provider_that_is_down(client: openai.OpenAI, acme: Account):
    nobody_listens = "http://127.0.0.1:1/v1"
    upstream = Upstream.objects.create(
        slug="down", name="Down", dialect="openai", base_url=nobody_listens
    )
    add_mock_model("down", "gpt-4o-mini", upstream=upstream)
    wait_until_served(client, "down")
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="down", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.code) == (503, "upstream_unreachable")
    assert_not_charged(acme, 503)


@pytest.mark.parametrize("how", ["cut=2;gap=0.05", "cut=2;fin;gap=0.05"])
def test_a_stream_that_is_cut_off_says_so(ask: Ask, acme: Account, how: str):
    said = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in ask(how, text="one two three four five six", stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said.strip() == "one two"
    assert caught.value.code == "upstream_broken"
    [line] = acme.lines()
    assert (line.status, line.price_state, line.usage_source) == (502, "estimated", "counted")
    assert line.amount_pico > 0


def test_an_error_in_mid_stream(ask: Ask, acme: Account):
    with pytest.raises(openai.APIError):
        list(ask("midstream_error=2", text="one two three four", stream=True))
    [line] = acme.lines()
    assert line.price_state == "estimated"


def test_a_stream_without_usage_is_counted(ask: Ask, acme: Account):
    list(ask("no_usage", text="one two three four", stream=True))
    [line] = acme.lines()
    assert (line.status, line.price_state, line.usage_source) == (200, "estimated", "counted")
    assert line.output_tokens >= 4


def test_every_error_carries_a_request_id(gateway: GatewayProcess, acme: Account):
    for body in (b"{", b'{"model":"nope","messages":[{"role":"user","content":"x"}]}'):
        _, headers, _ = post(gateway, body, acme.key)
        assert headers["x-request-id"].startswith("req_")
