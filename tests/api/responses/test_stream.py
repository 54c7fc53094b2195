"""`POST /v1/responses` as a stream of events."""

import json
import time
from typing import Any

import httpx
import openai
import pytest

from api.responses.relay import PADDED_TO
from runestone.local.mock_provider.process import MockProvider
from tests.api.responses.test_create import LOOKUP, MODEL, City
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

TEXT_ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def test_it_works(client: openai.OpenAI, acme: Account, mock_provider: MockProvider):
    events = list(client.responses.create(model=MODEL, input="one two three", stream=True))

    assert [event.type for event in events] == TEXT_ORDER
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == "one two three"
    final = events[-1].response
    assert (final.status, final.output_text) == ("completed", "one two three")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (3, 3)
    assert {event.item_id for event in deltas} == {final.output[0].id}
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"]
    assert line.streamed
    assert line.first_byte_ms is not None


def test_on_the_wire(gateway: GatewayProcess, acme: Account):
    raw = wire(gateway, acme, {"model": MODEL, "input": "Hi", "stream": True})

    assert "[DONE]" not in raw
    for block in raw.strip().split("\n\n"):
        name, data = block.split("\n")
        assert json.loads(data.removeprefix("data: "))["type"] == name.removeprefix("event: ")


@pytest.mark.parametrize("asked", [{}, {"stream_options": {"include_obfuscation": True}}])
def test_deltas_are_padded_as_by_openai(client: openai.OpenAI, asked: dict[str, Any]):
    events = client.responses.create(model=MODEL, input="one eleven", stream=True, **asked)
    padded = [
        (event.delta, event.obfuscation)  # type: ignore[attr-defined]  # in no description
        for event in events
        if event.type == "response.output_text.delta"
    ]
    assert len(padded) == 2
    assert {len(delta + padding) for delta, padding in padded} == {PADDED_TO}


def test_unless_they_must_not_be(gateway: GatewayProcess, acme: Account, scenario: Scenario):
    quiet = {"stream": True, "stream_options": {"include_obfuscation": False}}
    for model in (MODEL, scenario("tools=1"), scenario("reasoning=8")):
        body = {"model": model, "input": "Hi", "tools": [LOOKUP], **quiet}
        assert ".delta" in (raw := wire(gateway, acme, body))
        assert "obfuscation" not in raw


def test_the_same_as_without_a_stream(client: openai.OpenAI, scenario: Scenario):
    asked = {"model": scenario("tools=2"), "input": "x", "tools": [LOOKUP, LOOKUP | {"name": "b"}]}
    whole = client.responses.create(**asked)
    *_, last = client.responses.create(**asked, stream=True)

    assert shape(last.response) == shape(whole)


def test_parallel_tool_calls(client: openai.OpenAI, scenario: Scenario):
    events = list(
        client.responses.create(
            model=scenario("tools=2"),
            input="x",
            tools=[LOOKUP, LOOKUP | {"name": "b"}],
            stream=True,
        )
    )
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [(event.output_index, event.name) for event in done] == [(0, "lookup"), (1, "b")]
    for event in done:
        deltas = [
            each.delta
            for each in events
            if each.type == "response.function_call_arguments.delta"
            and each.item_id == event.item_id
        ]
        assert "".join(deltas) == event.arguments == '{"city":"mock"}'
    items = [event.type for event in events if "output_item" in event.type]
    assert items == ["response.output_item.added", "response.output_item.done"] * 2


def test_a_refusal(client: openai.OpenAI, scenario: Scenario):
    events = list(client.responses.create(model=scenario("refusal"), input="x", stream=True))
    deltas = [event.delta for event in events if event.type == "response.refusal.delta"]
    [done] = [event for event in events if event.type == "response.refusal.done"]
    assert "".join(deltas) == done.refusal
    assert events[-1].response.output[0].content[0].refusal == done.refusal


def test_a_cut_answer_ends_incomplete(client: openai.OpenAI):
    *_, last = client.responses.create(
        model=MODEL, input="word " * 40, max_output_tokens=16, stream=True
    )
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.output[0].status == "incomplete"


def test_the_helper(client: openai.OpenAI):
    with client.responses.stream(model=MODEL, input='{"name":"Rome"}', text_format=City) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_parsed == City(name="Rome")
    assert kinds[-1] == "response.completed"


def test_the_helper_with_tools_and_refusals(client: openai.OpenAI, scenario: Scenario):
    for how in ("tools=2", "refusal"):
        tools = [LOOKUP | {"strict": True}]
        with client.responses.stream(model=scenario(how), input="x", tools=tools) as stream:
            final = stream.get_final_response()
        assert final.status == "completed"


async def test_it_works_async(gateway: GatewayProcess, acme: Account):
    async with acme.async_client(gateway.url) as client:
        stream = await client.responses.create(model=MODEL, input="a b", stream=True)
        events = [event async for event in stream]
    assert events[-1].response.output_text == "a b"


# What goes wrong.


def test_an_error_before_the_first_event_has_its_status(client: openai.OpenAI, scenario: Scenario):
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=scenario("error=429"), input="x", stream=True)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="no-such", input="x", stream=True)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("how", ["midstream_error=2", "cut=2", "cut=2;fin", "junk=2"])
def test_a_failure_in_mid_stream_is_seen_and_raised(
    how: str, client: openai.OpenAI, scenario: Scenario, acme: Account
):
    seen: list[Any] = []
    with pytest.raises(openai.APIError):
        seen.extend(client.responses.create(model=scenario(how), input="a b c d e f", stream=True))

    assert seen[-1].type == "response.failed"
    failed = seen[-1].response
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    assert failed.output[0].status == "incomplete"
    assert failed.output[0].content[0].text.startswith("a")
    [line] = acme.lines()
    assert line.status >= 500
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(failed.id)


def test_the_error_event_has_the_spelled_out_form_too(
    gateway: GatewayProcess, scenario: Scenario, acme: Account
):
    asked = {"model": scenario("midstream_error=2"), "input": "a b c d", "stream": True}
    *_, last = wire(gateway, acme, asked).strip().split("\n\n")
    name, data = last.split("\n")
    error = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert {"type", "code", "message", "param", "sequence_number", "error"} == set(error)


def test_a_hang_up_stops_the_upstream_and_settles(
    client: openai.OpenAI, scenario: Scenario, acme: Account, mock_provider: MockProvider
):
    model = scenario("chunks=500;gap=0.02")
    stream = client.responses.create(model=model, input="x", stream=True)
    for _, _ in zip(range(10), stream, strict=False):
        pass
    [hold] = acme.holds()
    hung_up = time.monotonic()
    stream.close()

    calls = mock_provider.wait(
        lambda calls: any(each["attempt"] == str(hold.id) for each in calls["hang_ups"])
    )
    [noticed] = [each for each in calls["hang_ups"] if each["attempt"] == str(hold.id)]
    assert noticed["monotonic"] - hung_up < 0.5
    [line] = acme.lines()
    assert (line.status, line.price_state) == (499, "estimated")
    assert acme.window().pending_pico == 0


def wire(gateway: GatewayProcess, acme: Account, asked: dict[str, Any]) -> str:
    answer = httpx.post(
        f"{gateway.url}/responses",
        json=asked,
        headers={"authorization": f"Bearer {acme.key}"},
        trust_env=False,
    )
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return answer.text


def shape(response: Any) -> dict[str, Any]:
    """All but the names and times, which differ from call to call."""
    made = response.model_dump(exclude={"id", "created_at", "completed_at", "request_id"})
    for item in made["output"]:
        del item["id"], item["call_id"]
    return made
