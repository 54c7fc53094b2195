"""`POST /v1/responses` with the official SDK, over a real socket, money included."""

import openai
import pydantic
import pytest

from runestone.lib.usage import UsageSource
from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

MODEL = "gpt-4o-mini"
LOOKUP = {
    "type": "function",
    "name": "lookup",
    "description": "Looks a city up.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


def test_it_works(client: openai.OpenAI, acme: Account, mock_provider: MockProvider):
    response = client.responses.create(model=MODEL, input="Hello there")

    assert response.output_text == "Hello there"
    assert (response.object, response.status, response.error) == ("response", "completed", None)
    assert response.id.startswith("resp_")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (2, 2)
    [message] = response.output
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] == 2 * 150_000 + 2 * 600_000
    assert line.usage_source == UsageSource.REPORTED
    assert response.id == f"resp_{line.request_id.hex}"
    assert response._request_id == f"req_{line.request_id.hex}"


async def test_it_works_async(gateway: GatewayProcess, acme: Account):
    async with acme.async_client(gateway.url) as client:
        response = await client.responses.create(model=MODEL, input="Hi")
    assert response.output_text == "Hi"


def test_what_was_asked_is_told_again(client: openai.OpenAI):
    response = client.responses.create(
        model=MODEL,
        input="Hi",
        instructions="Be brief.",
        max_output_tokens=50,
        temperature=0.5,
        metadata={"ticket": "7"},
        user="someone",
    )
    assert response.instructions == "Be brief."
    assert (response.max_output_tokens, response.temperature) == (50, 0.5)
    assert response.metadata == {"ticket": "7"}
    assert (response.tool_choice, response.tools, response.parallel_tool_calls) == (
        "auto",
        [],
        True,
    )
    assert response.text.format.type == "text"
    assert response.user == "someone"


def test_instructions_and_input_both_reach_the_model(client: openai.OpenAI, acme: Account):
    client.responses.create(model=MODEL, input="one two", instructions="three four five")
    [line] = acme.lines()
    assert line.input_tokens == 5


def test_messages_in_every_form(client: openai.OpenAI):
    response = client.responses.create(
        model=MODEL,
        input=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "First"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Yes?", "annotations": []}],
            },
            {"type": "message", "role": "user", "content": "Second question"},
        ],
    )
    assert response.output_text == "Second question"


def test_an_answer_that_is_cut_short_is_incomplete(client: openai.OpenAI):
    response = client.responses.create(model=MODEL, input="word " * 40, max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"
    assert response.usage.output_tokens == 16


def test_a_filtered_answer_is_incomplete(client: openai.OpenAI, scenario: Scenario):
    response = client.responses.create(model=scenario("finish=content_filter"), input="Hi")
    assert response.incomplete_details.reason == "content_filter"


def test_a_refusal(client: openai.OpenAI, scenario: Scenario):
    response = client.responses.create(model=scenario("refusal"), input="Hi")
    [part] = response.output[0].content
    assert part.type == "refusal"
    assert "sorry" in part.refusal


def test_cached_and_reasoning_tokens(
    client: openai.OpenAI, scenario: Scenario, acme: Account, mock_provider: MockProvider
):
    response = client.responses.create(model=scenario("cached=2;reasoning=8"), input="a b c d")

    assert response.usage.input_tokens_details.cached_tokens == 2
    assert response.usage.output_tokens_details.reasoning_tokens == 8
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"]


def test_tools_there_and_back(client: openai.OpenAI, scenario: Scenario, acme: Account):
    model = scenario("tools")
    question = {"role": "user", "content": "What of Rome?"}
    first = client.responses.create(model=model, input=[question], tools=[LOOKUP])

    [call] = first.output
    assert (call.type, call.name, call.arguments) == ("function_call", "lookup", '{"city":"mock"}')
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "It is old."}
    second = client.responses.create(
        model=model, input=[question, *first.output, output], tools=[LOOKUP]
    )
    assert second.output_text == "What of Rome?"
    acme.lines(2)


def test_parallel_calls_and_a_forced_tool(client: openai.OpenAI, scenario: Scenario):
    other = LOOKUP | {"name": "other"}
    both = client.responses.create(model=scenario("tools=2"), input="x", tools=[LOOKUP, other])
    assert [call.name for call in both.output] == ["lookup", "other"]
    assert len({call.call_id for call in both.output}) == 2

    forced = client.responses.create(
        model=MODEL, input="x", tools=[LOOKUP, other],
        tool_choice={"type": "function", "name": "other"},
    )  # fmt: skip
    assert [call.name for call in forced.output] == ["other"]
    assert forced.tool_choice.name == "other"


class City(pydantic.BaseModel):
    name: str


def test_structured_output(client: openai.OpenAI, scenario: Scenario):
    response = client.responses.parse(model=MODEL, input='{"name":"Rome"}', text_format=City)
    assert response.output_parsed == City(name="Rome")
    assert response.text.format.name == "City"


def test_the_echo_serves_it_too(client: openai.OpenAI):
    assert client.responses.create(model="echo", input="to be").output_text == "to be"


def test_runestones_own_fields_ride_beside(client: openai.OpenAI):
    raw = client.responses.with_raw_response.create(model=MODEL, input="Hi")
    assert raw.parse().provider == "mock"
    assert raw.headers["x-runestone-provider"] == "mock"


def test_a_json_answer_that_breaks_is_an_error(client: openai.OpenAI, scenario: Scenario):
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model=scenario("garbage"), input="Hi")
    assert caught.value.code == "upstream_broken"
