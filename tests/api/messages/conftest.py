"""Anthropic's own SDK, with Acme's key, against the gateway."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "The quick brown fox"}]
RECORDINGS = Path(__file__).parent / "recordings"

Create = Callable[..., Any]


def sdk(account: Account, gateway: GatewayProcess, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        **{"base_url": gateway.root, "api_key": account.key, "max_retries": 0, **options}
    )


@pytest.fixture
def claude(gateway: GatewayProcess, acme: Account) -> Iterator[anthropic.Anthropic]:
    with sdk(acme, gateway) as made:
        yield made


@pytest.fixture
def create(claude: anthropic.Anthropic, scenario: Scenario) -> Create:
    """create("cut=2", …): what the SDK gives for a message under a scenario of the mock's."""

    def created(how: str = "", **options: Any) -> Any:
        model = scenario(how) if how else "gpt-4o-mini"
        asked = {"model": model, "max_tokens": 1_000, "messages": HELLO, **options}
        return claude.messages.create(**asked)

    return created


@pytest.fixture
def stream(claude: anthropic.Anthropic, scenario: Scenario) -> Create:
    """The same with the SDK's helper for streams."""

    def streamed(how: str = "", **options: Any) -> Any:
        model = scenario(how) if how else "gpt-4o-mini"
        asked = {"model": model, "max_tokens": 1_000, "messages": HELLO, **options}
        return claude.messages.stream(**asked)

    return streamed


def post(
    gateway: GatewayProcess, body: Any, *, path: str = "/messages", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A raw POST: status, headers, body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json"} | headers
    request = urllib.request.Request(gateway.url + path, data=data, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def recorded(name: str) -> Any:
    """What once went over a wire, of a request or of an answer."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())["body"]
