"""The mock's Anthropic wire, with Anthropic's own SDK and in bytes; the bill is the same."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.mock_provider import raw

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "The quick brown fox"}]
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TRAFFIC = WEATHER | {"name": "get_traffic"}
THINK = {"type": "enabled", "budget_tokens": 1_024}
# Of gpt-4o-mini, which the mock takes for a model of Anthropic's as well; pico-USD a token.
INPUT, CACHED, OUTPUT = 150_000, 75_000, 600_000

Create = Callable[..., Any]
Line = Callable[[], dict[str, Any]]


@pytest.fixture
def claude(provider: MockProvider, attempt: str) -> Iterator[anthropic.Anthropic]:
    headers = {"x-runestone-attempt-id": attempt}
    root = provider.url.removesuffix("/v1")
    with anthropic.Anthropic(
        base_url=root, api_key="any", max_retries=0, default_headers=headers
    ) as made:
        yield made


@pytest.fixture
def create(claude: anthropic.Anthropic) -> Create:
    def created(scenario: str = "", **options: Any) -> Any:
        return claude.messages.create(**asked(scenario, **options))

    return created


@pytest.fixture
def stream(claude: anthropic.Anthropic) -> Create:
    def streamed(scenario: str = "", **options: Any) -> Any:
        return claude.messages.stream(**asked(scenario, **options))

    return streamed


def asked(scenario: str, **options: Any) -> dict[str, Any]:
    headers = {"x-mock-scenario": scenario} if scenario else {}
    return {
        "model": "gpt-4o-mini",
        "max_tokens": 2_000,
        "messages": HELLO,
        "extra_headers": headers,
        **options,
    }


def test_it_works(create: Create, line: Line):
    message = create()
    assert (message.content[0].text, message.stop_reason) == ("The quick brown fox", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert message._request_id.startswith("req_")
    billed = line()
    assert (billed["finished"], billed["streamed"]) == (True, False)
    assert billed["amount_pico"] == 4 * INPUT + 4 * OUTPUT


def test_a_stream(stream: Create, line: Line):
    with stream() as events:
        told = [event.type for event in events]
        message = events.get_final_message()
    assert message.content[0].text == "The quick brown fox"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert told[:2] == ["message_start", "content_block_start"]
    assert told[-1] == "message_stop"
    assert line()["amount_pico"] == 4 * INPUT + 4 * OUTPUT


def test_the_events_on_the_wire(provider: MockProvider):
    body = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO, "stream": True}
    reply = raw.call(
        provider.url, raw.request(body, path="/v1/messages", anthropic_version="2023-06-01")
    )
    events = [event.split(b"\n") for event in b"".join(reply.chunks()).split(b"\n\n")[:-1]]
    names = [name.removeprefix(b"event: ").decode() for name, _ in events]
    assert names == [json.loads(data.removeprefix(b"data: "))["type"] for _, data in events]
    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_thinking_must_come_back_as_it_was(create: Create):
    first = create(thinking=THINK)
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert (first.usage.output_tokens, first.usage.output_tokens_details.thinking_tokens) == (12, 8)

    again = [*HELLO, {"role": "assistant", "content": first.content}, *HELLO]
    assert create(thinking=THINK, messages=again).stop_reason == "end_turn"
    first.content[0].thinking += "!"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        create(thinking=THINK, messages=again)


def test_thinking_in_a_stream(stream: Create, create: Create, line: Line):
    with stream("reasoning=3") as events:
        message = events.get_final_message()
    thought = message.content[0]
    assert (thought.type, thought.thinking) == ("thinking", "hm hm hm")
    assert thought.signature
    assert (line()["reasoning_tokens"], message.usage.output_tokens) == (3, 7)


def test_tools(create: Create, stream: Create):
    message = create("tools=2", tools=[WEATHER, TRAFFIC])
    assert message.stop_reason == "tool_use"
    called = [(block.name, block.input) for block in message.content]
    assert called == [("get_weather", {"city": "mock"}), ("get_traffic", {"city": "mock"})]
    with stream("tools=2", tools=[WEATHER, TRAFFIC]) as events:
        streamed = events.get_final_message()
    assert [(block.name, block.input) for block in streamed.content] == called

    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "clear"}
        for block in message.content
    ]
    again = [
        *HELLO,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    assert create("tools=2", tools=[WEATHER, TRAFFIC], messages=again).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_traffic"}, ["get_traffic"]),
        ({"type": "none"}, []),
        ({"type": "auto"}, []),
    ],
)
def test_the_choice_of_a_tool(create: Create, choice: dict[str, str], names: list[str]):
    message = create(tools=[WEATHER, TRAFFIC], tool_choice=choice)
    assert [block.name for block in message.content if block.type == "tool_use"] == names


def test_images_are_counted(create: Create):
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}
    content = [image, {"type": "text", "text": "what is this"}]
    message = create(messages=[{"role": "user", "content": content}])
    assert (message.content[0].text, message.usage.input_tokens) == ("what is this", 103)


def test_what_was_cached(create: Create, line: Line):
    usage = create("cached=3").usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (1, 3)
    assert line()["amount_pico"] == INPUT + 3 * CACHED + 4 * OUTPUT


def test_what_was_written_to_the_cache(create: Create, line: Line):
    usage = create("cached=1;written=1;written_1h=9").usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens) == (0, 3)
    kept = usage.cache_creation
    assert (kept.ephemeral_5m_input_tokens, kept.ephemeral_1h_input_tokens) == (1, 2)
    written = INPUT * 125 // 100 + 2 * INPUT * 2
    assert line()["amount_pico"] == CACHED + written + 4 * OUTPUT


@pytest.mark.parametrize(
    ("how", "options", "reason", "text"),
    [
        ("", {"max_tokens": 2}, "max_tokens", "The quick"),
        ("", {"stop_sequences": ["brown"]}, "stop_sequence", "The quick "),
        ("length", {}, "max_tokens", "The quick"),
        ("finish=pause_turn", {}, "pause_turn", "The quick brown fox"),
    ],
)
def test_the_reason_to_stop(
    create: Create, stream: Create, how: str, options: dict[str, Any], reason: str, text: str
):
    with stream(how, **options) as events:
        streamed = events.get_final_message()
    for message in (create(how, **options), streamed):
        assert (message.stop_reason, message.content[0].text) == (reason, text)
        assert message.stop_sequence == ("brown" if reason == "stop_sequence" else None)


def test_a_refusal_has_no_content(create: Create, stream: Create, line: Line):
    with stream("refusal") as events:
        message = events.get_final_message()
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details.explanation.startswith("I'm very sorry")
    assert line()["completion_tokens"] == message.usage.output_tokens == 10


def test_the_mirror_says_the_request(create: Create):
    control = {"type": "ephemeral", "ttl": "1h"}
    system = [{"type": "text", "text": "Be brief", "cache_control": control}]
    message = create("mirror", system=system)
    assert json.loads(message.content[0].text)["system"] == system
    assert message.usage.input_tokens == 6


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (404, "not_found_error", anthropic.NotFoundError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
def test_errors(
    create: Create, provider: MockProvider, attempt: str, status: int, kind: str, raised: Any
):
    with pytest.raises(raised) as caught:
        create(f"error={status}")
    body = caught.value.body
    assert (body["type"], body["error"]["type"], caught.value.status_code) == (
        "error",
        kind,
        status,
    )
    assert body["request_id"] == caught.value.response.headers["request-id"]
    assert provider.bill(attempt) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra_body": {"seed": 1}}, "unknown field `seed`"),
        ({"extra_body": {"max_tokens": None}}, "max_tokens"),
        ({"thinking": THINK, "max_tokens": 1_024}, "greater than"),
        ({"extra_headers": {"anthropic-version": anthropic.omit}}, "anthropic-version"),
    ],
)
def test_it_is_strict(create: Create, options: dict[str, Any], message: str):
    with pytest.raises(anthropic.BadRequestError, match=message):
        create(**options)


@pytest.mark.parametrize("kind", ["api_error", "overloaded_error"])
def test_an_error_in_mid_stream(stream: Create, line: Line, kind: str):
    how = f"midstream_error=2;type={kind}"
    with pytest.raises(anthropic.APIStatusError) as caught, stream(how) as events:
        events.get_final_message()
    assert caught.value.body["error"]["type"] == kind
    billed = line()
    assert (billed["completion_tokens"], billed["finished"]) == (2, False)


def test_a_cut(provider: MockProvider, attempt: str, line: Line):
    body = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO, "stream": True}
    headers = {"x_mock_scenario": "cut=2", "x_runestone_attempt_id": attempt}
    reply = raw.call(
        provider.url,
        raw.request(body, path="/v1/messages", anthropic_version="2023-06-01", **headers),
    )
    assert reply.reset
    assert b"message_stop" not in reply.body
    assert line()["completion_tokens"] == 2


@pytest.mark.parametrize("how", ["crlf", "comments", "split=1"])
def test_odd_streams(stream: Create, how: str):
    with stream(how) as events:
        assert events.get_final_message().content[0].text == "The quick brown fox"


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_the_key_comes_in_either_header(header: str):
    body = {"model": "m", "max_tokens": 9, "messages": HELLO}

    def call(running: MockProvider, key: str) -> raw.Reply:
        value = f"Bearer {key}" if header == "authorization" else key
        headers = {header.replace("-", "_"): value, "anthropic_version": "2023-06-01"}
        return raw.call(running.url, raw.request(body, path="/v1/messages", **headers))

    with MockProvider(api_key="right") as running:
        assert call(running, "right").status == 200
        refused = call(running, "wrong")
    assert refused.status == 401
    assert json.loads(refused.body)["error"]["message"] == "invalid x-api-key"
