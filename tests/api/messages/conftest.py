"""Anthropic's own SDK, with Acme's key, against the gateway."""

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

HELLO = [{"role": "user", "content": "The quick brown fox"}]

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
