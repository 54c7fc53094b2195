"""Ollama behind the gateway: the official SDK, the gateway, and the mock provider's own Ollama."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from django.utils.text import slugify

from billing.models import Price
from providers.models import Model, Upstream
from runestone.lib.usage import UsageSource
from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account, add_mock_model, wait_until_served

MESSAGES: Any = [{"role": "user", "content": "The quick brown fox"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
WITH_USAGE: Any = {"include_usage": True}


@pytest.fixture
def home(live: str, mock_provider: MockProvider) -> Callable[[str], Upstream]:
    """home("a-name"): an Ollama of that name."""

    def called(slug: str) -> Upstream:
        return Upstream.objects.create(
            slug=slug, name=slug, dialect="ollama", base_url=mock_provider.root
        )

    return called


@pytest.fixture
def ollama(home: Callable[[str], Upstream], client: openai.OpenAI) -> Callable[..., str]:
    """ollama("cut=2") names a model that an Ollama serves in that way."""

    def model_of(text: str = "normal") -> str:
        name = f"ollama-{slugify(text)}"
        if not Model.objects.filter(name=name).exists():
            # A server each: one that fails must not be left alone for the others' sake.
            add_mock_model(name, f"gpt-4o-mini:{text}", upstream=home(name))
        wait_until_served(client, name)
        return name

    return model_of


def settled(account: Account, provider: MockProvider) -> Any:
    """The one ledger line, which is what the provider bills for the same attempt."""
    [line] = account.lines()
    [billed] = provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] > 0
    return line


def test_it_works(client: openai.OpenAI, ollama, acme: Account, mock_provider: MockProvider):
    completion = client.chat.completions.create(model=ollama(), messages=MESSAGES)
    assert completion.choices[0].message.content == "The quick brown fox"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model_extra["provider"] == "ollama-normal"
    line = settled(acme, mock_provider)
    assert line.amount_pico == 4 * 150_000 + 4 * 600_000
    assert line.usage_source == UsageSource.REPORTED


def test_it_streams(client: openai.OpenAI, ollama, acme: Account, mock_provider: MockProvider):
    with client.chat.completions.stream(
        model=ollama("reasoning=3"), messages=MESSAGES, stream_options=WITH_USAGE
    ) as stream:
        completion = stream.get_final_completion()
    message = completion.choices[0].message
    assert message.content == "The quick brown fox"
    assert message.model_extra["reasoning_content"] == "hm hm hm"
    assert completion.usage.completion_tokens == 7
    assert settled(acme, mock_provider).streamed


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(
    client: openai.OpenAI, ollama, acme: Account, mock_provider: MockProvider, streamed: bool
):
    asked: Any = {"model": ollama("tools=2"), "messages": MESSAGES, "tools": TOOLS}
    if streamed:
        with client.chat.completions.stream(**asked) as stream:
            choice = stream.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**asked).choices[0]
    assert choice.finish_reason == "tool_calls"
    first, second = choice.message.tool_calls
    assert first.id != second.id
    assert json.loads(first.function.arguments) == {"city": "mock"}
    settled(acme, mock_provider)


def test_a_tools_answer_goes_back(client: openai.OpenAI, ollama, acme: Account):
    asked: Any = {"model": ollama("tools=1"), "tools": TOOLS}
    said = client.chat.completions.create(messages=MESSAGES, **asked).choices[0].message
    answer: Any = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "Sunny."}
    turns: Any = [*MESSAGES, said.model_dump(exclude_none=True), answer]
    completion = client.chat.completions.create(messages=turns, **asked)
    assert completion.choices[0].message.content == "The quick brown fox"


def test_an_image(client: openai.OpenAI, ollama, acme: Account, mock_provider: MockProvider):
    def see(url: str) -> Any:
        text, image = {"type": "text", "text": "one two"}, {"url": url}
        return [{"role": "user", "content": [text, {"type": "image_url", "image_url": image}]}]

    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=ollama(), messages=see("https://x.test/y.png"))
    assert caught.value.param == "messages[0].content[1].image_url.url"
    data_url = "data:image/png;base64,iVBORw0KGgo="
    client.chat.completions.create(model=ollama(), messages=see(data_url))
    assert settled(acme, mock_provider).input_tokens == 2


def test_embeddings(client: openai.OpenAI, home, acme: Account, mock_provider: MockProvider):
    name = "ollama-embeddings"
    add_mock_model(name, "text-embedding-3-small", upstream=home(name), priced=False)
    Price.objects.create(upstream=name, model=name, component="input", usd="0.02")
    wait_until_served(client, name)
    texts = ["one two", "three"]
    with openai.OpenAI(base_url=mock_provider.url, api_key="any") as direct:
        expected = direct.embeddings.create(model="text-embedding-3-small", input=texts)
    made = client.embeddings.create(model=name, input=texts)
    assert [each.embedding for each in made.data] == [each.embedding for each in expected.data]
    assert settled(acme, mock_provider).input_tokens == 3


def test_a_prompt_from_the_cache_is_counted(client: openai.OpenAI, ollama, acme: Account):
    completion = client.chat.completions.create(model=ollama("cached=2"), messages=MESSAGES)
    assert completion.usage is None
    [line] = acme.lines()
    assert line.usage_source == UsageSource.COUNTED
    assert line.amount_pico > 0


def test_a_missing_model_is_ours(client: openai.OpenAI, ollama):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=ollama("error=404"), messages=MESSAGES)
    assert caught.value.status_code == 502


@pytest.mark.parametrize("how", ["midstream_error=2", "cut=2", "junk=2"])
def test_a_stream_that_breaks_off(client: openai.OpenAI, ollama, acme: Account, how: str):
    said = ""
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(
            model=ollama(how), messages=MESSAGES, stream=True
        ):
            said += chunk.choices[0].delta.content or ""
    assert said in ("The quick ", "The quick brown ")
    [line] = acme.lines()
    assert line.usage_source == UsageSource.COUNTED
    assert line.amount_pico > 0


def test_what_it_cannot_do_costs_nothing(client: openai.OpenAI, ollama, acme: Account):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=ollama(), messages=MESSAGES, n=2)
    assert (caught.value.param, caught.value.code) == ("n", "unsupported_parameter")
    assert acme.holds() == []
