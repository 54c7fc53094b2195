"""`POST /v1/messages` with Anthropic's SDK, over a real socket, money included."""

import anthropic

from runestone.local.mock_provider.process import MockProvider
from tests.api.messages.conftest import HELLO, Create
from tests.cast import Account
from tests.gateway_process import GatewayProcess


def assert_billed(acme: Account, mock_provider: MockProvider) -> None:
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] > 0


def test_it_works(create: Create, acme: Account, mock_provider: MockProvider):
    message = create()

    assert (message.type, message.role) == ("message", "assistant")
    assert [block.text for block in message.content] == ["The quick brown fox"]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert_billed(acme, mock_provider)


async def test_it_works_async(gateway: GatewayProcess, acme: Account):
    async with anthropic.AsyncAnthropic(base_url=gateway.root, api_key=acme.key) as claude:
        message = await claude.messages.create(model="gpt-4o-mini", max_tokens=100, messages=HELLO)
    assert message.content[0].text == "The quick brown fox"


def test_the_answer_names_its_request(create: Create, acme: Account):
    message = create()

    [line] = acme.lines()
    assert message._request_id == f"req_{line.request_id.hex}"
    assert message.id == f"msg_{line.request_id.hex}"
