"""`POST /v1/messages/count_tokens`: an estimate that costs nothing."""

import anthropic
import pytest

from tests.api.messages.conftest import HELLO, post
from tests.api.messages.test_create import PIXEL, WEATHER
from tests.cast import Account
from tests.gateway_process import GatewayProcess


def test_it_works(claude: anthropic.Anthropic, acme: Account):
    counted = claude.messages.count_tokens(model="gpt-4o-mini", messages=HELLO)
    assert 4 <= counted.input_tokens <= 40
    acme.lines(0)


def test_everything_counts(claude: anthropic.Anthropic):
    def count(**more: object) -> int:
        asked = {"model": "gpt-4o-mini", "messages": HELLO, **more}
        return claude.messages.count_tokens(**asked).input_tokens

    image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    seen = [{"role": "user", "content": [{"type": "image", "source": image}]}]
    assert count() < count(system="Answer in verse") < count(system="Answer in verse. " * 9)
    assert count(tools=[WEATHER]) > count() + 346
    assert 1_600 <= count(messages=seen) < 1_700
    assert count(messages=[{"role": "user", "content": "漢字" * 50}]) >= 100


def test_a_stranger_is_told_nothing(gateway: GatewayProcess):
    body = {"model": "gpt-4o-mini", "messages": HELLO}
    status, _, _ = post(gateway, body, path="/messages/count_tokens")
    assert status == 401


def test_an_unknown_model(claude: anthropic.Anthropic):
    with pytest.raises(anthropic.NotFoundError, match="model: claude-9"):
        claude.messages.count_tokens(model="claude-9", messages=HELLO)


def test_a_bad_request(claude: anthropic.Anthropic):
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        claude.messages.count_tokens(model="gpt-4o-mini", messages=[])
