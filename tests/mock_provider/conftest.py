"""One provider for the whole run; tests tell their lines apart by their attempt's id."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.mock_provider import raw


@pytest.fixture(scope="session")
def provider() -> Iterator[MockProvider]:
    with MockProvider() as running:
        yield running


@pytest.fixture
def attempt() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def client(provider: MockProvider, attempt: str) -> Iterator[openai.OpenAI]:
    headers = {"x-runestone-attempt-id": attempt}
    with openai.OpenAI(
        base_url=provider.url, api_key="any", max_retries=0, default_headers=headers
    ) as made:
        yield made


@pytest.fixture
def ask(client: openai.OpenAI) -> Callable[..., Any]:
    """ask("cut=2", stream=True) -> the SDK's own answer."""

    def asked(scenario: str = "", text: str = "The quick brown fox", **options: Any) -> Any:
        options = {"model": "gpt-4o-mini", **options}
        return client.chat.completions.create(
            messages=[{"role": "user", "content": text}],
            extra_headers={"x-mock-scenario": scenario} if scenario else {},
            **options,
        )

    return asked


@pytest.fixture
def bytes_of(provider: MockProvider, attempt: str) -> Callable[..., raw.Reply]:
    """bytes_of("cut=2", stream=True) -> what came over the socket."""

    def called(scenario: str, text: str = "The quick brown fox", **options: Any) -> raw.Reply:
        messages = [{"role": "user", "content": text}]
        body = {"model": "gpt-4o-mini", "messages": messages, **options}
        headers = {"x_mock_scenario": scenario, "x_runestone_attempt_id": attempt}
        return raw.call(provider.url, raw.request(body, **headers))

    return called


@pytest.fixture
def line(provider: MockProvider, attempt: str) -> Callable[[], dict[str, Any]]:
    """The one line on the bill for this test's attempt."""

    def read() -> dict[str, Any]:
        (only,) = provider.bill(attempt)
        return only

    return read
