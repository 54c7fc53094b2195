"""`POST /v1/messages` with Anthropic's SDK, over a real socket, money included."""

import json
from typing import Any

import anthropic
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.api.messages.conftest import HELLO, Create, post
from tests.cast import Account
from tests.gateway_process import GatewayProcess

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
)
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TRAFFIC = WEATHER | {"name": "get_traffic"}


def assert_billed(acme: Account, mock_provider: MockProvider, calls: int = 1) -> None:
    """A ledger line a call, each with the amount that the provider bills."""
    for line in acme.lines(calls):
        [billed] = mock_provider.bill(str(line.id))
        assert line.amount_pico == billed["amount_pico"] > 0


def test_it_works(create: Create, acme: Account, mock_provider: MockProvider):
    message = create()

    assert (message.type, message.role, message.model) == ("message", "assistant", "gpt-4o-mini")
    assert [block.text for block in message.content] == ["The quick brown fox"]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert_billed(acme, mock_provider)


async def test_it_works_async(gateway: GatewayProcess, acme: Account):
    async with anthropic.AsyncAnthropic(base_url=gateway.root, api_key=acme.key) as claude:
        message = await claude.messages.create(model="gpt-4o-mini", max_tokens=9, messages=HELLO)
    assert message.content[0].text == "The quick brown fox"


def test_the_answer_names_its_request(create: Create, acme: Account):
    message = create()

    [line] = acme.lines()
    assert message._request_id == f"req_{line.request_id.hex}"
    assert message.id == f"msg_{line.request_id.hex}"


@pytest.mark.parametrize("beta", ["", "?beta=true"])
def test_as_the_first_sdks_send_it(gateway: GatewayProcess, acme: Account, beta: str):
    body = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO}
    status, headers, answer = post(
        gateway,
        body,
        path=f"/messages{beta}",
        **{
            "x-api-key": acme.key,
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "prompt-caching-2024-07-31",
        },
    )
    assert status == 200
    assert headers["request-id"] == headers["x-request-id"]
    assert json.loads(answer)["content"] == [{"type": "text", "text": "The quick brown fox"}]
    acme.lines(1)


def test_a_version_need_not_be_given(gateway: GatewayProcess, acme: Account):
    body = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO}
    status, _, _ = post(gateway, body, authorization=f"Bearer {acme.key}")
    assert status == 200


def test_a_system_prompt_is_read(create: Create, acme: Account, mock_provider: MockProvider):
    as_text = create(system="Answer in verse")
    as_blocks = create(system=[{"type": "text", "text": "Answer in verse"}])
    in_between = create(messages=[*HELLO, {"role": "system", "content": "Answer in verse"}])

    for message in (as_text, as_blocks, in_between):
        assert message.usage.input_tokens == 4 + 3
    assert_billed(acme, mock_provider, 3)


def test_images_pass(create: Create):
    images = [
        {"type": "base64", "media_type": "image/png", "data": PIXEL},
        {"type": "url", "url": "https://example.com/cat.png"},
    ]
    blocks = [{"type": "image", "source": source} for source in images]
    text = {"type": "text", "text": "what is this"}
    message = create(messages=[{"role": "user", "content": [*blocks, text]}])
    assert message.content[0].text == "what is this"


def test_max_tokens_cuts(create: Create):
    message = create(max_tokens=2)
    assert (message.content[0].text, message.stop_reason) == ("The quick", "max_tokens")
    assert message.usage.output_tokens == 2


def test_stop_sequences_cut(create: Create):
    message = create(stop_sequences=["brown"])
    assert message.content[0].text == "The quick "
    # The provider does not say what made it stop.
    assert message.stop_reason == "end_turn"


def test_sampling_and_the_rest_are_accepted(create: Create):
    message = create(
        extra_body={"temperature": 0.5, "top_k": 5, "cache_control": {"type": "ephemeral"}},
        metadata={"user_id": "someone"},
        service_tier="standard_only",
        thinking={"type": "adaptive"},
    )
    assert message.content


def test_tools_there_and_back(create: Create, acme: Account, mock_provider: MockProvider):
    first = create("tools=2", tools=[WEATHER, TRAFFIC])
    assert first.stop_reason == "tool_use"
    called = [(block.type, block.name, block.input) for block in first.content]
    assert called == [
        ("tool_use", "get_weather", {"city": "mock"}),
        ("tool_use", "get_traffic", {"city": "mock"}),
    ]

    results: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "all clear"}
        for block in first.content
    ]
    conversation = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = create("tools=2", tools=[WEATHER, TRAFFIC], messages=conversation)
    assert (second.content[0].text, second.stop_reason) == ("The quick brown fox", "end_turn")
    assert_billed(acme, mock_provider, 2)


@pytest.mark.parametrize(
    ("choice", "name"),
    [({"type": "any"}, "get_weather"), ({"type": "tool", "name": "get_traffic"}, "get_traffic")],
)
def test_a_tool_can_be_forced(create: Create, choice: dict[str, str], name: str):
    message = create(tools=[WEATHER, TRAFFIC], tool_choice=choice)
    assert [block.name for block in message.content] == [name]


def test_input_leaves_out_what_was_cached(
    create: Create, acme: Account, mock_provider: MockProvider
):
    usage = create("cached=3;reasoning=5").usage

    assert (usage.input_tokens, usage.cache_read_input_tokens) == (1, 3)
    assert usage.cache_creation_input_tokens == 0
    assert (usage.output_tokens, usage.output_tokens_details.thinking_tokens) == (9, 5)
    assert_billed(acme, mock_provider)


def test_without_figures_the_usage_is_estimated(create: Create, acme: Account):
    usage = create("no_usage").usage
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    [line] = acme.lines()
    assert line.price_state == "estimated"


def test_a_refusal(create: Create):
    message = create("refusal")
    assert message.stop_reason == "refusal"
    assert message.content[0].text.startswith("I'm very sorry")
    assert message.stop_details.explanation == message.content[0].text


def test_a_filtered_answer_is_a_refusal(create: Create):
    assert create("finish=content_filter").stop_reason == "refusal"


def test_runestones_own_fields_count(create: Create):
    message = create(extra_body={"provider": "mock", "request_id": "mine"})
    assert (message.provider, message.request_id) == ("mock", "mine")
    with pytest.raises(anthropic.BadRequestError, match="provider"):
        create(extra_body={"provider": "nobody"})
    with pytest.raises(anthropic.PermissionDeniedError):
        create(extra_body={"tenant_id": "globex"})


def test_a_stranger_pays_nothing(create: Create, acme: Account, globex: Account):
    create()
    acme.lines(1)
    globex.lines(0)
