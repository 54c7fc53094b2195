"""What an OpenAI SDK asks for, of upstreams of every dialect: answered alike, or refused in words.

Each test ends with the books: every attempt has one ledger line, and once the estimates among them
are corrected the ledger is what the provider billed, to the pico.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import openai
import pytest
from django.db import transaction

from billing.models import Entry
from providers.models import Model
from runestone.local.mock_provider.process import MockProvider
from tests.bills import reconcile_with
from tests.cast import Account, add_mock_model, add_mock_upstream, wait_until_served
from tests.gateway_process import GatewayProcess

USER = {"role": "user", "content": "The quick brown fox"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": SCHEMA}}
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
PIXEL = "iVBORw0KGgo="
LOCAL_IMAGE = f"data:image/png;base64,{PIXEL}"
REMOTE_IMAGE = "https://images.test/fox.png"


# What a dialect's wire has no word for, of the features below.
LACKS: dict[str, set[str]] = {
    "openai": set(),
    "azure": set(),
    "anthropic": {"n", "logprobs", "logit_bias", "seed", "json_object"},
    "ollama": {"n", "logprobs", "logit_bias", "remote_image", "forced_tool", "named_tool",
               "one_tool_at_a_time"},
}  # fmt: skip


class Feature(NamedTuple):
    """Fields of a request, what of them must arrive somewhere, and whom a refusal blames."""

    fields: dict[str, Any]
    arrives: Any
    param: str


def image(url: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": "What is this?"}]
    return {"role": "user", "content": [*parts, {"type": "image_url", "image_url": {"url": url}}]}


FEATURES = {
    "n": Feature({"n": 2}, 2, "n"),
    "logprobs": Feature({"logprobs": True}, True, "logprobs"),
    "logit_bias": Feature({"logit_bias": {"1734": 5}}, {"1734": 5}, "logit_bias"),
    "seed": Feature({"seed": 20_261_121}, 20_261_121, "seed"),
    "temperature": Feature({"temperature": 0.25}, 0.25, "temperature"),
    "max_tokens": Feature({"max_tokens": 1_234}, 1_234, "max_tokens"),
    "json_object": Feature(
        {"response_format": {"type": "json_object"}}, None, "response_format.type"
    ),
    "json_schema": Feature({"response_format": FORM}, SCHEMA, "response_format"),
    "local_image": Feature({"messages": [image(LOCAL_IMAGE)]}, PIXEL, ""),
    "remote_image": Feature(
        {"messages": [image(REMOTE_IMAGE)]},
        REMOTE_IMAGE,
        "messages[0].content[1].image_url.url",
    ),
    "developer": Feature({"messages": [{"role": "developer", "content": "Rhyme."}, USER]},
                         "Rhyme.", ""),
    "forced_tool": Feature({"tools": [TOOL], "tool_choice": "required"}, "get_weather",
                           "tool_choice"),
    "named_tool": Feature(
        {"tools": [TOOL],
         "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        "get_weather", "tool_choice",
    ),
    "one_tool_at_a_time": Feature({"tools": [TOOL], "parallel_tool_calls": False}, "get_weather",
                                  "parallel_tool_calls"),
}  # fmt: skip

SCENARIOS = (
    "normal", "mirror", "tools=1", "tools=2", "cached=1", "chunks=300;gap=0.02", "error=400",
    "error=401", "error=402", "error=403", "error=404", "error=422", "error=429;retry_after=7",
    "error=500", "error=503", "error=529", "garbage", "empty", "drop", "cut=0", "cut=2;gap=0.02",
    "midstream_error=2", "refusal",
)  # fmt: skip
# In JSON and as a stream, by either of the SDK's clients; two of them have each of these.
WAYS = ("json", "stream", "async-json", "async-stream")
SOME_WAYS = ("json", "async-stream")

by_all_ways = pytest.mark.parametrize("way", WAYS, indirect=True)

Ask = Callable[..., Any]


@pytest.fixture(params=LACKS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SOME_WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model_of(
    live: str, client: openai.OpenAI, mock_provider: MockProvider, dialect: str
) -> Callable[[str], str]:
    """model_of("cut=2"): a model that the mock serves in that way, over the dialect's wire."""

    def named(how: str) -> str:
        return f"{dialect}-wire-{SCENARIOS.index(how)}"

    if not Model.objects.filter(name=named(SCENARIOS[-1])).exists():
        with transaction.atomic():
            for how in SCENARIOS:
                # Each its own upstream: one that fails must not keep another's calls away.
                upstream = add_mock_upstream(named(how), dialect, mock_provider)
                add_mock_model(named(how), f"gpt-4o-mini:{how}", upstream=upstream)
        wait_until_served(client, named(SCENARIOS[-1]))
    return named


@pytest.fixture
def ask(gateway: GatewayProcess, acme: Account, model_of: Callable[[str], str], way: str) -> Ask:
    """ask("tools=2", …): a whole completion, whichever way it comes."""

    def asked(how: str = "normal", **fields: Any) -> Any:
        fields = {"model": model_of(how), "messages": [USER], **fields}
        if way.endswith("stream"):
            fields["stream_options"] = {"include_usage": True}
        try:
            if way.startswith("async"):
                return asyncio.run(_aasked(acme, gateway, way, fields))
            return _asked(acme, gateway, way, fields)
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError) as ended:
            # The helper for streams does not care for such an answer, but has it.
            return ended.completion

    return asked


def _asked(acme: Account, gateway: GatewayProcess, way: str, fields: dict[str, Any]) -> Any:
    with acme.client(gateway.url) as client:
        if way == "json":
            return client.chat.completions.create(**fields)
        with client.chat.completions.stream(**fields) as stream:
            return stream.get_final_completion()


async def _aasked(acme: Account, gateway: GatewayProcess, way: str, fields: dict[str, Any]) -> Any:
    async with acme.async_client(gateway.url) as client:
        if way == "async-json":
            return await client.chat.completions.create(**fields)
        async with client.chat.completions.stream(**fields) as stream:
            return await stream.get_final_completion()


@pytest.fixture
def books(acme: Account, mock_provider: MockProvider) -> Callable[..., list[Entry]]:
    """books(1): one attempt was made, and the ledger and the bill agree on it. Gives its line."""

    def balanced(attempts: int = 1) -> list[Entry]:
        lines = acme.lines(attempts)
        if not lines:
            return []
        mock_provider.wait(lambda calls: calls["in_flight"] == 0)
        bill = [each for line in lines for each in mock_provider.bill(str(line.id))]
        assert len(bill) <= attempts
        if any(line.price_state == "estimated" for line in lines):
            reconcile_with(bill, {line.id for line in lines})
        owed = sum(each["amount_pico"] for each in bill)
        posted = Entry.objects.filter(tenant=acme.tenant).values_list("amount_pico", flat=True)
        assert sum(posted) == owed
        assert (acme.window().posted_pico, acme.window().pending_pico) == (owed, 0)
        return lines

    return balanced


# What is answered.


@by_all_ways
def test_chat(ask: Ask, books: Any, dialect: str):
    completion = ask()
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", USER["content"])
    assert choice.finish_reason == "stop"
    assert completion.model_extra["provider"] == f"{dialect}-wire-0"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (4, 4, 8)
    [line] = books()
    assert (line.usage_source, line.price_state, line.status) == ("reported", "priced", 200)
    assert (line.input_tokens, line.output_tokens) == (4, 4)


@by_all_ways
def test_a_conversation(ask: Ask, books: Any):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "One two"},
        {"role": "assistant", "content": "Three"},
        {"role": "user", "content": "Four five six"},
    ]
    completion = ask(messages=turns)
    assert completion.choices[0].message.content == "Four five six"
    assert completion.usage.prompt_tokens == 10
    books()


@by_all_ways
def test_tools_there_and_back(ask: Ask, books: Any):
    choice = ask("tools=2", tools=[TOOL, TIME]).choices[0]
    assert choice.finish_reason == "tool_calls"
    # A stream that is translated has begun with "" before it is known that no text will come.
    assert not choice.message.content
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "mock"}] * 2
    assert len({call.id for call in calls}) == 2
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "Clear, noon."} for call in calls
    ]
    said = choice.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    again = ask("tools=2", tools=[TOOL, TIME], messages=[USER, said, *results])
    assert again.choices[0].message.content == USER["content"]
    books(2)


def test_a_stop_sequence(ask: Ask, books: Any):
    choice = ask(stop="brown").choices[0]
    assert (choice.message.content.strip(), choice.finish_reason) == ("The quick", "stop")
    books()


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_cap_on_the_answer(ask: Ask, books: Any, field: str):
    completion = ask(**{field: 2})
    choice = completion.choices[0]
    assert (choice.message.content.strip(), choice.finish_reason) == ("The quick", "length")
    assert completion.usage.completion_tokens == 2
    books()


@pytest.mark.parametrize("name", FEATURES)
def test_what_is_asked_for_arrives_or_is_refused(ask: Ask, books: Any, dialect: str, name: str):
    """Never in silence: what the wire has no word for is a 400 that names the field."""
    fields, arrives, param = FEATURES[name]
    if name in LACKS[dialect]:
        with pytest.raises(openai.BadRequestError) as caught:
            ask("mirror", **fields)
        assert caught.value.param == param
        assert caught.value.code in ("unsupported_parameter", "unsupported_value")
        books(0)
        return
    if name in ("forced_tool", "named_tool"):
        [call] = ask(**fields).choices[0].message.tool_calls
        assert call.function.name == arrives
    else:
        choices = ask("mirror", **fields).choices
        assert len(choices) == fields.get("n", 1)
        assert arrives is None or is_in(json.loads(choices[0].message.content), arrives)
    books()


def is_in(given: Any, wanted: Any) -> bool:
    """Whether it is anywhere in there; of a text, a part is enough."""
    if given == wanted and type(given) is type(wanted):
        return True
    if isinstance(given, str):
        return isinstance(wanted, str) and wanted in given
    within = given.values() if isinstance(given, dict) else given
    return isinstance(given, dict | list) and any(is_in(each, wanted) for each in within)


# What the caller hears when something is wrong.


@pytest.mark.parametrize(
    ("how", "exception", "status"),
    [
        ("error=400", openai.BadRequestError, 400),
        ("error=422", openai.UnprocessableEntityError, 422),
        # What is between us and the provider is never the caller's fault.
        ("error=401", openai.InternalServerError, 502),
        ("error=402", openai.InternalServerError, 502),
        ("error=403", openai.InternalServerError, 502),
        ("error=404", openai.InternalServerError, 502),
        ("error=429;retry_after=7", openai.RateLimitError, 429),
        ("error=500", openai.InternalServerError, 502),
        ("error=503", openai.InternalServerError, 503),
        ("error=529", openai.InternalServerError, 503),
        ("garbage", openai.InternalServerError, 502),
        ("empty", openai.InternalServerError, 502),
        ("drop", openai.InternalServerError, 502),
        ("cut=0", openai.APIError, None),
    ],
)
def test_errors(
    ask: Ask, books: Any, how: str, exception: type[openai.APIError], status: int | None
):
    with pytest.raises(exception) as caught:
        ask(how)
    if status is not None:
        assert caught.value.status_code == status
        assert caught.value.request_id.startswith("req_")
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"
    [line] = books()
    assert line.status >= 400


def test_a_key_that_the_provider_refuses_is_not_the_callers(ask: Ask):
    with pytest.raises(openai.InternalServerError) as caught:
        ask("error=401")
    assert "API key" not in caught.value.message


@pytest.mark.parametrize("how", ["cut=2;gap=0.02", "midstream_error=2"])
def test_a_stream_that_breaks_off_says_so(
    client: openai.OpenAI, model_of: Callable[[str], str], books: Any, how: str
):
    said = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(
            model=model_of(how), messages=[USER], stream=True
        ):
            said += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert said == "The quick "
    assert isinstance(caught.value.body, dict), "it must be an event, not a cut"
    [line] = books()
    assert (line.usage_source, line.price_state) == ("counted", "estimated")


def test_a_refusal_is_told_as_one(ask: Ask, books: Any):
    message = ask("refusal").choices[0].message
    assert (message.refusal or message.content).startswith("I'm very sorry")
    books()


def test_a_caller_that_hangs_up_is_settled(
    client: openai.OpenAI, model_of: Callable[[str], str], books: Any, mock_provider: MockProvider
):
    stream = client.chat.completions.create(
        model=model_of("chunks=300;gap=0.02"), messages=[USER], stream=True
    )
    said = 0
    while said < 5:
        said += any(choice.delta.content for choice in next(stream).choices)
    stream.close()
    [line] = books()
    assert (line.status, line.error) == (499, "client_closed_request")
    assert 0 < line.output_tokens < 300


def test_usage_is_told_only_if_it_was_asked_for(
    client: openai.OpenAI, model_of: Callable[[str], str], books: Any
):
    asked = {"model": model_of("normal"), "messages": [USER], "stream": True}
    assert all(chunk.usage is None for chunk in client.chat.completions.create(**asked))
    *chunks, last = client.chat.completions.create(**asked, stream_options={"include_usage": True})
    assert (last.choices, last.usage.total_tokens) == ([], 8)
    assert all(chunk.usage is None for chunk in chunks)
    books(2)
