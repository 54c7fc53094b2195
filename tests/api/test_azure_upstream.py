"""Azure behind the gateway: the official SDK, the gateway, and the mock provider's Azure wire.

What an SDK asks of every dialect is in test_every_dialect.py.
"""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from django.utils.text import slugify

from providers.models import Model, Upstream
from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account, add_mock_model, wait_until_served

MESSAGES: Any = [{"role": "user", "content": "The quick brown fox"}]


@pytest.fixture(params=["classic", "v1"])
def azure(
    request: pytest.FixtureRequest, live: str, mock_provider: MockProvider, client: openai.OpenAI
) -> Callable[..., str]:
    """azure("cut=2") names a model that a resource of Azure's serves in that way."""
    path = {"classic": "", "v1": "/openai/v1"}[request.param]

    def model_of(text: str = "normal") -> str:
        name = f"azure-{request.param}-{slugify(text)}"
        if not Model.objects.filter(name=name).exists():
            # A resource each: one that fails must not have its key rest for the others.
            upstream = Upstream.objects.create(
                slug=name, name=name, dialect="azure", base_url=mock_provider.root + path
            )
            upstream.add_credential("azure-key")
            add_mock_model(name, f"gpt-4o-mini:{text}", upstream=upstream)
        wait_until_served(client, name)
        return name

    return model_of


def settled(account: Account, provider: MockProvider) -> tuple[Any, dict[str, Any]]:
    """The one ledger line, and the provider's own line for the same attempt."""
    [line] = account.lines()
    [billed] = provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"]
    return line, billed


def test_it_works(client: openai.OpenAI, azure, acme: Account, mock_provider: MockProvider):
    completion = client.chat.completions.create(model=azure(), messages=MESSAGES)
    assert completion.choices[0].message.content == "The quick brown fox"
    assert completion.model_extra["prompt_filter_results"]
    line, billed = settled(acme, mock_provider)
    assert line.amount_pico == 4 * 150_000 + 4 * 600_000
    assert line.upstream_request_id
    assert billed["request"] == f"req_{line.upstream_request_id}"


def test_it_streams(client: openai.OpenAI, azure, acme: Account, mock_provider: MockProvider):
    with client.chat.completions.stream(
        model=azure("reasoning=3;cached=2"),
        messages=MESSAGES,
        stream_options={"include_usage": True},
    ) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == "The quick brown fox"
    assert completion.usage.completion_tokens == 7
    line, _ = settled(acme, mock_provider)
    assert (line.cached_input_tokens, line.reasoning_tokens) == (2, 3)


def test_the_first_event_has_our_fields_and_the_filters(client: openai.OpenAI, azure):
    stream = client.chat.completions.create(model=azure(), messages=MESSAGES, stream=True)
    first, *rest = stream
    assert first.model_extra["prompt_filter_results"]
    assert first.model_extra["provider"].startswith("azure-")
    assert (first.object, first.choices) == ("chat.completion.chunk", [])
    assert all(chunk.choices for chunk in rest)


def test_a_filtered_prompt_is_the_callers(client: openai.OpenAI, azure, acme: Account):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=azure("error=400;code=content_filter"), messages=MESSAGES
        )
    assert (caught.value.code, caught.value.param) == ("content_filter", "prompt")
    [line] = acme.lines()
    assert line.amount_pico == 0


def test_a_missing_deployment_is_ours(client: openai.OpenAI, azure):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model=azure("error=404;code=DeploymentNotFound"), messages=MESSAGES
        )
    assert caught.value.status_code == 502
