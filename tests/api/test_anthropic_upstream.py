"""An upstream that speaks Anthropic's wire, behind both doors, over real sockets, money included.

OpenAI's SDK comes by `/v1/chat/completions` and is translated; Anthropic's comes by `/v1/messages`
and goes through in its own words.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from django.db import transaction
from django.utils.text import slugify

from billing.models import Price
from providers.models import Model, Upstream
from runestone.local.mock_provider.process import MockProvider
from tests.api.messages.conftest import sdk
from tests.cast import Account, add_mock_model, wait_until_served
from tests.gateway_process import GatewayProcess

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "The quick brown fox"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "get_weather", "input_schema": SCHEMA}
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}
# Of the mock's model, per million tokens.
CACHE_WRITES = {"cache_write": "0.1875", "cache_write_1h": "0.30"}
THINK = {"type": "enabled", "budget_tokens": 1_024}

Named = Callable[[str], str]
Ask = Callable[..., Any]


@pytest.fixture
def named(client: openai.OpenAI, mock_provider: MockProvider) -> Named:
    """named("cut=2"): a model that the mock serves in that way, over Anthropic's wire."""

    def model_of(how: str) -> str:
        name = f"claude-{slugify(how)}-{zlib.crc32(how.encode()):08x}"
        if not Model.objects.filter(name=name).exists():
            # Each its own upstream: one that fails must not keep another's calls away.
            with transaction.atomic():
                upstream = Upstream.objects.create(
                    slug=name, name=name, dialect="anthropic", base_url=mock_provider.url
                )
                add_mock_model(name, f"gpt-4o-mini:{how or 'normal'}", upstream=upstream)
                for component, usd in CACHE_WRITES.items():
                    Price.objects.create(upstream=name, model=name, component=component, usd=usd)
        wait_until_served(client, name)
        return name

    return model_of


@pytest.fixture
def ask(client: openai.OpenAI, named: Named) -> Ask:
    def asked(how: str = "", **options: Any) -> Any:
        fields = {"model": named(how), "messages": HELLO, **options}
        return client.chat.completions.create(**fields)

    return asked


@pytest.fixture
def claude(gateway: GatewayProcess, acme: Account) -> Iterator[anthropic.Anthropic]:
    with sdk(acme, gateway) as made:
        yield made


@pytest.fixture
def create(claude: anthropic.Anthropic, named: Named) -> Ask:
    def created(how: str = "", **options: Any) -> Any:
        asked = {"model": named(how), "max_tokens": 2_000, "messages": HELLO, **options}
        return claude.messages.create(**asked)

    return created


@pytest.fixture
def stream(claude: anthropic.Anthropic, named: Named) -> Ask:
    def streamed(how: str = "", **options: Any) -> Any:
        asked = {"model": named(how), "max_tokens": 2_000, "messages": HELLO, **options}
        return claude.messages.stream(**asked)

    return streamed


@pytest.fixture
def billed(acme: Account, mock_provider: MockProvider) -> Callable[..., Any]:
    """The ledger's lines, each with the amount that the provider bills for it."""

    def lines(calls: int = 1) -> Any:
        found = acme.lines(calls)
        for line in found:
            [bill] = mock_provider.bill(str(line.id))
            assert line.amount_pico == bill["amount_pico"] > 0
            assert line.upstream_request_id == bill["request"]
        return found

    return lines


# OpenAI's SDK; what it asks of every dialect is in test_every_dialect.py.


def test_thoughts_there_and_back(ask: Ask, billed: Any):
    thinking = {"thinking": THINK}
    first = ask(extra_body=thinking).choices[0].message
    assert first.reasoning_content == " ".join(["hm"] * 8)
    # The mock refuses a thought that does not come back as it was.
    again = ask(messages=[*HELLO, first.model_dump(exclude_none=True), *HELLO], extra_body=thinking)
    assert again.usage.completion_tokens_details.reasoning_tokens == 8
    assert [line.reasoning_tokens for line in billed(2)] == [8, 8]
    changed = first.model_dump(exclude_none=True)
    changed["reasoning_details"][0]["text"] += "!"
    with pytest.raises(openai.BadRequestError, match="signature"):
        ask(messages=[*HELLO, changed, *HELLO], extra_body=thinking)


def test_what_was_cached_is_cheaper(ask: Ask, billed: Any):
    usage = ask("cached=3").usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (4, 3)
    [line] = billed()
    assert (line.input_tokens, line.cached_input_tokens) == (4, 3)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_written_to_the_cache_has_prices_of_its_own(
    create: Ask, stream: Ask, ask: Ask, billed: Any, streamed: bool
):
    how = "cached=1;written=1;written_1h=1"
    usage = create(how).usage if not streamed else final(stream(how)).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (1, 1)
    assert usage.cache_creation.ephemeral_1h_input_tokens == 1
    told = ask(how).usage.prompt_tokens_details
    assert (told.cached_tokens, told.cache_write_tokens, told.cache_write_1h_tokens) == (1, 2, 1)
    for line in billed(2):
        assert (line.input_tokens, line.cached_input_tokens) == (4, 1)
        assert (line.cache_write_tokens, line.cache_write_1h_tokens) == (2, 1)


def final(events: Any) -> Any:
    with events as opened:
        return opened.get_final_message()


def test_without_a_cap_no_more_is_asked_for_than_is_held(ask: Ask):
    """The model of the catalogue answers with 16,384 tokens at most, and so much is held for."""
    assert json.loads(ask("mirror").choices[0].message.content)["max_tokens"] == 16_384
    told = ask("mirror", max_tokens=1_000_000).choices[0].message.content
    assert json.loads(told)["max_tokens"] == 16_384


def test_hints_to_the_cache_arrive(ask: Ask):
    parts = [{"type": "text", "text": "Be brief", "cache_control": EPHEMERAL}]
    told = ask("mirror", messages=[{"role": "system", "content": parts}, *HELLO])
    assert json.loads(told.choices[0].message.content)["system"] == parts


@pytest.mark.parametrize("how", ["cut=2;gap=0.05", "midstream_error=2"])
def test_a_stream_that_breaks_is_paid_as_far_as_it_came(
    ask: Ask, acme: Account, mock_provider: MockProvider, how: str
):
    said = ""
    with pytest.raises(openai.APIError):
        for chunk in ask(how, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said == "The quick "
    [line] = acme.lines()
    [bill] = mock_provider.bill(str(line.id))
    assert line.usage_source == "counted"
    # The input's figures came first, and of the output every piece is a token of the mock's.
    assert line.amount_pico == bill["amount_pico"]


@pytest.mark.parametrize("how", ["comments;crlf;split=1", "no_done"])
def test_odd_streams(ask: Ask, billed: Any, how: str):
    texts = [chunk.choices[0].delta.content for chunk in ask(how, stream=True)]
    assert "".join(filter(None, texts)) == "The quick brown fox"
    billed()


# Anthropic's SDK.


def test_its_own_words_go_through(create: Ask, billed: Any):
    message = create()
    assert (message.content[0].text, message.stop_reason) == ("The quick brown fox", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert message.provider.startswith("claude-")
    [line] = billed()
    assert line.usage_source == "reported"


def test_its_own_events_go_through(stream: Ask, billed: Any):
    with stream() as events:
        assert list(events.text_stream) == ["The ", "quick ", "brown ", "fox"]
        message = events.get_final_message()
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert events.response.headers["x-runestone-provider"].startswith("claude-")
    [line] = billed()
    assert line.streamed


def test_a_request_arrives_as_it_was(create: Ask, named: Named):
    asked = {
        "system": [{"type": "text", "text": "Be brief", "cache_control": EPHEMERAL}],
        "tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "Grass."},
                        "citations": {"enabled": True},
                        "cache_control": {"type": "ephemeral", "ttl": "5m"},
                    },
                    {"type": "text", "text": "The quick brown fox"},
                ],
            }
        ],
        "extra_body": {"top_k": 7, "cache_control": EPHEMERAL, "request_id": "mine", "user": "me"},
        "metadata": {"user_id": "someone"},
    }
    arrived = create("mirror", **asked).content[0].text
    extra = asked.pop("extra_body")
    model = {"model": "gpt-4o-mini:mirror", "max_tokens": 2_000}
    expected = asked | model | {"top_k": 7, "cache_control": extra["cache_control"]}
    assert json.loads(arrived) == expected
    # Byte for byte: a cache of prompts knows no other sameness.
    for part in ("system", "tools", "messages"):
        assert json.dumps(asked[part], separators=(",", ":")) in arrived


def test_no_more_is_asked_for_than_is_held(create: Ask):
    told = create("mirror", max_tokens=1_000_000, timeout=10).content[0].text
    assert json.loads(told)["max_tokens"] == 16_384


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_keep_their_signature(create: Ask, stream: Ask, billed: Any, streamed: bool):
    def message_of(**options: Any) -> Any:
        if not streamed:
            return create("tools=1", **options)
        with stream("tools=1", **options) as events:
            return events.get_final_message()

    first = message_of(thinking=THINK, tools=[TOOL])
    thought, use = first.content
    assert (thought.type, use.type) == ("thinking", "tool_use")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "clear"}
    conversation = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = message_of(thinking=THINK, tools=[TOOL], messages=conversation)
    assert [block.type for block in second.content] == ["thinking", "text"]
    billed(2)
    thought.signature = "forged"
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        message_of(thinking=THINK, tools=[TOOL], messages=conversation)


def test_the_stop_sequence_is_named(create: Ask, stream: Ask):
    with stream(stop_sequences=["brown"]) as events:
        streamed = events.get_final_message()
    for message in (create(stop_sequences=["brown"]), streamed):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "brown")


def test_a_refusal_keeps_its_details(create: Ask):
    message = create("refusal")
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details.explanation.startswith("I'm very sorry")


def test_servers_tools_stay_refused(create: Ask, acme: Account):
    with pytest.raises(anthropic.BadRequestError, match="Anthropic's own servers"):
        create(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    acme.lines(0)


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("error=400", 400, "invalid_request_error"),
        ("error=401", 502, "api_error"),
        ("error=429", 429, "rate_limit_error"),
        ("error=529", 503, "overloaded_error"),
    ],
)
def test_its_errors(create: Ask, how: str, status: int, kind: str):
    with pytest.raises(anthropic.APIStatusError) as caught:
        create(how)
    assert (caught.value.status_code, caught.value.body["error"]["type"]) == (status, kind)


@pytest.mark.parametrize("how", ["cut=2;gap=0.05", "midstream_error=2"])
def test_its_streams_that_break(stream: Ask, acme: Account, mock_provider: MockProvider, how: str):
    with pytest.raises(anthropic.APIStatusError), stream(how) as events:
        events.get_final_message()
    [line] = acme.lines()
    [bill] = mock_provider.bill(str(line.id))
    assert (line.usage_source, line.amount_pico) == ("counted", bill["amount_pico"])
