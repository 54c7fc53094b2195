"""Ollama behind the gateway: the official SDK, the gateway, and the mock provider's own Ollama.

What an SDK asks of every dialect is in test_every_dialect.py.
"""

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
