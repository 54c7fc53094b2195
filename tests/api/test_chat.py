"""`POST /v1/chat/completions` with the official SDK, over a real socket, money included."""

from typing import Any
from uuid import UUID

import httpx
import openai
import pytest

from runestone.lib.usage import UsageSource
from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account, add_mock_model, wait_until_served
from tests.conftest import Ask
from tests.gateway_process import GatewayProcess


def test_it_works(ask: Ask, acme: Account, mock_provider: MockProvider):
    completion = ask(text="Hello there")

    assert completion.choices[0].message.content == "Hello there"
    assert completion.usage.prompt_tokens == 2
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] == 2 * 150_000 + 2 * 600_000
    assert (line.input_tokens, line.output_tokens) == (2, 2)
    assert line.usage_source == UsageSource.REPORTED
    assert (line.status, line.kind, line.price_state) == (200, "charge", "priced")


def test_it_streams(ask: Ask, acme: Account, mock_provider: MockProvider):
    chunks = list(ask(text="one two three", stream=True))

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "one two three"
    assert all(chunk.choices for chunk in chunks), "nobody asked for the usage chunk"
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] == 3 * 150_000 + 3 * 600_000
    assert line.streamed
    assert line.first_byte_ms is not None


def test_a_stream_carries_usage_when_asked(ask: Ask):
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))

    *ordinary, last = chunks
    assert last.choices == []
    assert last.usage.total_tokens == 8
    assert all(chunk.usage is None for chunk in ordinary)


async def test_it_works_async(gateway: GatewayProcess, acme: Account):
    async with acme.async_client(gateway.url) as client:
        completion = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}]
        )
    assert completion.choices[0].message.content == "Hi"


def test_the_answer_names_its_request(ask: Ask, acme: Account):
    completion = ask()

    [line] = acme.lines()
    assert completion._request_id == f"req_{line.request_id.hex}"


def test_tools_pass_through(ask: Ask):
    tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
    completion = ask("tools", tools=[tool])

    [called] = completion.choices[0].message.tool_calls
    assert called.function.name == "lookup"
    assert completion.choices[0].finish_reason == "tool_calls"


def test_cached_and_reasoning_tokens_are_priced_as_what_they_are(
    ask: Ask, acme: Account, mock_provider: MockProvider
):
    ask("cached=2;reasoning=8", text="a b c d")

    [line] = acme.lines()
    assert (line.cached_input_tokens, line.reasoning_tokens) == (2, 8)
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"]


def test_the_tenants_default_model_is_used(client: openai.OpenAI, acme: Account):
    acme.tenant.default_model = "echo"
    acme.tenant.save()
    completion = client.post(
        "/chat/completions",
        body={"messages": [{"role": "user", "content": "x"}]},
        cast_to=dict[str, Any],
    )
    assert completion["model"] == "echo"


def test_the_echo_needs_no_network(client: openai.OpenAI, acme: Account):
    stream = client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "to be or not"}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "to be or not"
    [line] = acme.lines()
    assert (line.amount_pico, line.price_state, line.upstream) == (0, "priced", "echo")


def test_models(client: openai.OpenAI):
    listed = {model.id: model for model in client.models.list()}

    assert {"gpt-4o-mini", "gpt-4o", "mock", "echo"} <= set(listed)
    assert client.models.retrieve("gpt-4o-mini").owned_by == "openai"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no/such:model")
    assert caught.value.code == "model_not_found"


def test_a_models_id_may_have_slashes_and_colons(
    gateway: GatewayProcess, client: openai.OpenAI, acme: Account
):
    name = "meta-llama/Llama-3:free"
    add_mock_model(name, "gpt-4o-mini")
    wait_until_served(client, name)
    assert client.models.retrieve(name).id == name  # the SDK sends %2F
    bare = httpx.get(
        f"{gateway.url}/models/{name}", headers={"authorization": f"Bearer {acme.key}"}
    )
    assert bare.json()["id"] == name


def test_a_stranger_sees_and_pays_nothing(ask: Ask, acme: Account, globex: Account):
    ask()

    acme.lines(1)
    globex.lines(0)
    assert globex.tenant.id not in {line.tenant_id for line in acme.lines(1)}


def test_a_calls_ids_are_its_own(ask: Ask, acme: Account):
    ask()
    ask()
    first, second = acme.lines(2)
    assert first.request_id != second.request_id
    assert isinstance(first.id, UUID)
