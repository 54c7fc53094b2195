"""What Runestone adds to OpenAI's wire: fields in requests, fields in answers, an endpoint."""

from typing import Any

import httpx
import openai
import pytest

from tests.cast import Account
from tests.conftest import Ask
from tests.gateway_process import GatewayProcess

MESSAGES = [{"role": "user", "content": "one two three"}]


def test_answers_say_who_answered(ask: Ask, acme: Account):
    answer = ask()
    assert (answer.provider, answer.routing_policy) == ("mock", "default")
    [line] = acme.lines()
    assert answer.request_id == f"req_{line.request_id.hex}"


def test_the_first_event_of_a_stream_says_it_too(ask: Ask):
    first, second, *_ = ask(stream=True)
    assert first.provider == "mock"
    assert not hasattr(second, "provider")


def test_headers_say_it_too(client: openai.OpenAI):
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=MESSAGES)
    assert raw.headers["x-runestone-provider"] == "echo"


def test_a_request_id_comes_back(ask: Ask):
    assert ask(extra_body={"request_id": "order-17"}).request_id == "order-17"


def test_a_provider_is_pinned(ask: Ask):
    assert ask(extra_body={"provider": "mock"}).provider == "mock"


@pytest.mark.parametrize(
    ("own", "param"),
    [
        ({"provider": "openai"}, "provider"),
        ({"model_family": "claude"}, "model_family"),
        ({"capabilities": ["chat", "telepathy"]}, "capabilities"),
        ({"max_cost_per_token": 0.0000001}, "max_cost_per_token"),
    ],
)
def test_a_wish_that_nothing_fulfils(ask: Ask, acme: Account, own: dict[str, Any], param: str):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(extra_body=own)
    assert (caught.value.param, caught.value.code) == (param, "no_route")
    acme.lines(0)


@pytest.mark.parametrize(
    "own",
    [
        {"model_family": "gpt-4o"},
        {"capabilities": ["chat", "tools"]},
        {"max_cost_per_token": 0.0000006},
        {"max_cost_per_token": "0.0000006"},
    ],
)
def test_a_wish_that_can_be_fulfilled(ask: Ask, own: dict[str, Any]):
    assert ask(extra_body=own).choices


def test_another_tenants_id_is_refused(ask: Ask, acme: Account, globex: Account):
    assert ask(extra_body={"tenant_id": acme.tenant.slug}).choices
    assert ask(extra_body={"tenant_id": acme.tenant.id}).choices
    for stranger in (globex.tenant.slug, globex.tenant.id, "nobody"):
        with pytest.raises(openai.PermissionDeniedError):
            ask(extra_body={"tenant_id": stranger})
    acme.lines(2)
    globex.lines(0)


def test_chat_stream_always_streams(gateway: GatewayProcess, acme: Account):
    body = {"messages": MESSAGES, "provider": "mock", "stream": False}
    answer = httpx.post(
        f"{gateway.url}/chat/stream", json=body, headers={"authorization": f"Bearer {acme.key}"}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert acme.lines()[0].streamed


def test_models_say_what_one_chooses_by(client: openai.OpenAI):
    model = client.models.retrieve("gpt-4o-mini")
    assert (model.provider, model.context_window, model.max_tokens) == ("mock", 128_000, 16_384)
    assert model.cost_per_1k_tokens == {"input": "0.00015", "output": "0.0006"}
    assert {"chat", "tools", "vision"} <= set(model.capabilities)
