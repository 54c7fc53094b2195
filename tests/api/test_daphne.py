"""The same application under daphne, which has no lifespan: it starts itself at the first call."""

import openai
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account
from tests.conftest import Scenario
from tests.gateway_process import GatewayProcess

MESSAGES = [{"role": "user", "content": "one two three"}]


@pytest.fixture(scope="module")
def gateway(live_database_url: str):
    with GatewayProcess(live_database_url, server="daphne") as running:
        yield running


def test_it_works(client: openai.OpenAI, acme: Account, mock_provider: MockProvider):
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert answer.choices[0].message.content == "one two three"
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "one two three"
    for line in acme.lines(2):
        assert line.amount_pico == mock_provider.bill(str(line.id))[0]["amount_pico"]


def test_a_hang_up_is_settled(client: openai.OpenAI, scenario: Scenario, acme: Account):
    model = scenario("chunks=500;gap=0.02")
    stream = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
    next(iter(stream))
    stream.close()
    [line] = acme.lines()
    assert (line.status, line.price_state) == (499, "estimated")
