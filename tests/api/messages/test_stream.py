"""`POST /v1/messages` with `stream`, by Anthropic's SDK over a real socket."""

import json

import anthropic
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.api.messages.conftest import HELLO, Create, post
from tests.api.messages.test_create import TRAFFIC, WEATHER, assert_billed
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess


def test_it_works(stream: Create, acme: Account, mock_provider: MockProvider):
    with stream() as events:
        said = list(events.text_stream)
        message = events.get_final_message()

    assert said == ["The ", "quick ", "brown ", "fox"]
    assert message.content[0].text == "The quick brown fox"
    assert (message.stop_reason, message.model) == ("end_turn", "gpt-4o-mini")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    [line] = acme.lines()
    assert line.streamed
    assert message.id == f"msg_{line.request_id.hex}"
    assert message.provider == events.response.headers["x-runestone-provider"] == "mock"
    assert events.response.headers["request-id"] == f"req_{line.request_id.hex}"
    assert_billed(acme, mock_provider)


async def test_it_works_async(gateway: GatewayProcess, acme: Account):
    async with anthropic.AsyncAnthropic(base_url=gateway.root, api_key=acme.key) as claude:
        asked = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO}
        async with claude.messages.stream(**asked) as events:
            message = await events.get_final_message()
    assert message.content[0].text == "The quick brown fox"


def test_the_events_are_anthropics(gateway: GatewayProcess, acme: Account):
    body = {"model": "gpt-4o-mini", "max_tokens": 1, "messages": HELLO, "stream": True}
    status, headers, answer = post(gateway, body, **{"x-api-key": acme.key})

    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert headers["request-id"] == headers["x-request-id"]
    assert b"[DONE]" not in answer
    events = [event.split(b"\n") for event in answer.strip().split(b"\n\n")]
    names = [name.removeprefix(b"event: ").decode() for name, _ in events]
    told = [json.loads(data.removeprefix(b"data: ")) for _, data in events]
    assert names == [each["type"] for each in told]
    assert names == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert told[0]["message"]["content"] == []
    assert told[-2]["delta"]["stop_reason"] == "max_tokens"
    assert told[-2]["usage"]["output_tokens"] == 1


def test_parallel_tools(stream: Create, acme: Account, mock_provider: MockProvider):
    with stream("tools=2", tools=[WEATHER, TRAFFIC]) as events:
        message = events.get_final_message()

    called = [(block.name, block.input) for block in message.content]
    assert called == [("get_weather", {"city": "mock"}), ("get_traffic", {"city": "mock"})]
    assert message.stop_reason == "tool_use"
    assert_billed(acme, mock_provider)


def test_a_refusal(stream: Create):
    with stream("refusal") as events:
        message = events.get_final_message()
    assert message.stop_reason == "refusal"
    assert message.content[0].text.startswith("I'm very sorry")


def test_cached_and_reasoning_tokens(stream: Create, acme: Account, mock_provider: MockProvider):
    with stream("cached=3;reasoning=5") as events:
        usage = events.get_final_message().usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (1, 3, 9)
    assert_billed(acme, mock_provider)


def test_without_figures_the_usage_is_estimated(stream: Create):
    with stream("no_usage") as events:
        usage = events.get_final_message().usage
    assert usage.input_tokens > 0
    assert usage.output_tokens >= 4


@pytest.mark.parametrize("how", ["comments;crlf;split=1", "no_done", "usage_every_chunk"])
def test_odd_streams(stream: Create, how: str):
    with stream(how) as events:
        message = events.get_final_message()
    assert message.content[0].text == "The quick brown fox"
    assert message.usage.output_tokens == 4


@pytest.mark.parametrize("how", ["cut=2;gap=0.05", "midstream_error=2", "junk=2"])
def test_a_failure_in_the_middle_raises(stream: Create, acme: Account, how: str):
    said = ""
    with pytest.raises(anthropic.APIStatusError) as caught:
        with stream(how) as events:
            for text in events.text_stream:
                said += text
    assert said.startswith("The quick ")
    assert caught.value.body["error"]["type"] == "api_error"
    [line] = acme.lines()
    assert (line.price_state, line.usage_source) == ("estimated", "counted")
    assert caught.value.body["request_id"] == f"req_{line.request_id.hex}"


def test_a_caller_that_hangs_up(stream: Create, acme: Account, mock_provider: MockProvider):
    with stream("chunks=500;gap=0.02") as events:
        for _, _ in zip(range(5), events.text_stream, strict=False):
            pass
        [hold] = acme.holds()
    mock_provider.wait(
        lambda calls: any(each["attempt"] == str(hold.id) for each in calls["hang_ups"])
    )
    [line] = acme.lines()
    assert (line.status, line.error, line.price_state) == (
        499,
        "client_closed_request",
        "estimated",
    )
    assert 0 < line.output_tokens < 500


def test_a_stream_that_is_refused_is_json(
    gateway: GatewayProcess, acme: Account, scenario: Scenario
):
    body = {"model": scenario("error=503"), "max_tokens": 9, "messages": HELLO, "stream": True}
    status, headers, answer = post(gateway, body, **{"x-api-key": acme.key})
    assert (status, headers["content-type"]) == (503, "application/json")
    assert headers["request-id"] == headers["x-request-id"]
    assert json.loads(answer)["error"]["type"] == "overloaded_error"
