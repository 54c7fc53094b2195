"""Each way a message can fail, as the SDK's own exception, in Anthropic's shape."""

import json
from typing import Any

import anthropic
import pytest

from tests.api.messages.conftest import HELLO, Create, post, sdk
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.gateway_process import GatewayProcess

ASKED = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO}


def test_the_shape(gateway: GatewayProcess):
    status, headers, body = post(gateway, ASKED)
    assert (status, headers["content-type"]) == (401, "application/json")
    answer = json.loads(body)
    assert headers["request-id"] == headers["x-request-id"] == answer.pop("request_id")
    assert answer["error"].pop("message")
    assert answer == {"type": "error", "error": {"type": "authentication_error"}}


@pytest.mark.parametrize("body", [ASKED, ASKED | {"stream": True}, {}, b"{"])
def test_a_wrong_key_is_told_before_anything_else(gateway: GatewayProcess, body: Any):
    status, _, answer = post(gateway, body, **{"x-api-key": "sk-wrong"})
    assert (status, json.loads(answer)["error"]["type"]) == (401, "authentication_error")


def test_a_wrong_key(gateway: GatewayProcess, acme: Account):
    with sdk(acme, gateway, api_key="sk-wrong") as claude:
        with pytest.raises(anthropic.AuthenticationError):
            claude.messages.create(**ASKED)


def test_a_suspended_tenant(gateway: GatewayProcess, acme: Account):
    acme.tenant.status = acme.tenant.Status.SUSPENDED
    acme.tenant.save()
    with sdk(acme, gateway) as claude:
        with pytest.raises(anthropic.PermissionDeniedError) as caught:
            claude.messages.create(**ASKED)
    assert caught.value.body["error"]["type"] == "permission_error"


@pytest.mark.parametrize("more", [{}, {"stream": True}])
def test_an_unknown_model(create: Create, acme: Account, more: dict[str, Any]):
    with pytest.raises(anthropic.NotFoundError) as caught:
        create(model="claude-sonet-4-5", **more)
    assert caught.value.body["error"] == {
        "type": "not_found_error",
        "message": "model: claude-sonet-4-5",
    }
    acme.lines(0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": None}, "'max_tokens'"),
        ({"max_tokens": 0}, "'max_tokens'"),
        ({"messages": []}, "'messages'"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "'messages[0].role'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "'messages[0].content[0].type'",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
                        ],
                    }
                ]
            },
            "'messages[0].content[0].source.type'",
        ),
        ({"temperature": 1.5}, "'temperature'"),
        ({"stop_sequences": ["a", "b", "c", "d", "e"]}, "'stop_sequences'"),
        ({"stream": "yes"}, "'stream'"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "'thinking.budget_tokens'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"speed": "fast"}, "speed"),
    ],
)
def test_a_bad_request_names_the_field(
    claude: anthropic.Anthropic, acme: Account, fields: dict[str, Any], words: str
):
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.post("/v1/messages", body=ASKED | fields, cast_to=object)
    error = caught.value.body["error"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    acme.lines(0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_malformed_json(gateway: GatewayProcess, acme: Account, body: bytes):
    status, _, answer = post(gateway, body, **{"x-api-key": acme.key})
    assert (status, json.loads(answer)["error"]["type"]) == (400, "invalid_request_error")
    assert b"OpenAI" not in answer


def test_a_body_that_is_not_json(gateway: GatewayProcess, acme: Account):
    headers = {"x-api-key": acme.key, "content-type": "text/plain"}
    status, _, answer = post(gateway, b"a=b", **headers)
    assert (status, json.loads(answer)["type"]) == (415, "error")


def test_a_body_over_the_bound(gateway: GatewayProcess, acme: Account):
    with sdk(acme, gateway) as claude, pytest.raises(anthropic.APIStatusError) as caught:
        text = "x" * (10 * 1024 * 1024 + 1)
        messages: Any = [{"role": "user", "content": text}]
        claude.messages.create(model="gpt-4o-mini", max_tokens=9, messages=messages)
    assert caught.value.status_code == 413
    assert caught.value.body["error"]["type"] == "request_too_large"


def test_an_unknown_url(gateway: GatewayProcess, acme: Account):
    status, headers, answer = post(gateway, b"{}", path="/messages/batches")
    assert (status, json.loads(answer)["error"]["type"]) == (404, "not_found_error")
    assert headers["request-id"]


def test_a_wrong_method(claude: anthropic.Anthropic):
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.get("/v1/messages", cast_to=object)
    assert caught.value.status_code == 405
    assert caught.value.body["type"] == "error"


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=["json", "stream"])
def test_a_budget_used_up_is_not_retried(gateway: GatewayProcess, live: str, more: dict[str, Any]):
    poor = open_account("Poor", budget_usd="0.000001")
    with sdk(poor, gateway, max_retries=2) as claude:
        with pytest.raises(anthropic.RateLimitError) as caught:
            claude.messages.create(**ASKED, **more)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    poor.lines(0)
    assert poor.window().pending_pico == 0


def test_an_unknown_price(claude: anthropic.Anthropic, gateway: GatewayProcess, acme: Account):
    add_mock_model("unpriced-message", "gpt-4o-mini", priced=False)
    with acme.client(gateway.url) as client:
        wait_until_served(client, "unpriced-message")
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(model="unpriced-message", max_tokens=9, messages=HELLO)
    assert caught.value.status_code == 402
    assert caught.value.body["error"]["type"] == "billing_error"


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("error=400", 400, "invalid_request_error"),
        ("error=401", 502, "api_error"),
        ("error=429;retry_after=7", 429, "rate_limit_error"),
        ("error=500", 502, "api_error"),
        ("error=503", 503, "overloaded_error"),
        ("error=504", 504, "timeout_error"),
        ("garbage", 502, "api_error"),
    ],
)
def test_a_provider_that_fails(create: Create, acme: Account, how: str, status: int, kind: str):
    with pytest.raises(anthropic.APIStatusError) as caught:
        create(how)
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.response.headers["x-runestone-provider"] == "mock"
    assert caught.value.request_id == f"req_{acme.lines()[0].request_id.hex}"
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"


def test_other_endpoints_keep_openais_shape(gateway: GatewayProcess):
    _, _, answer = post(gateway, ASKED, path="/chat/completions")
    assert set(json.loads(answer)) == {"error"}
