"""`POST /v1/completions`, the legacy one, with the official SDK, money included."""

import openai
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account

MODEL = "gpt-3.5-turbo-instruct"


def test_it_works(client: openai.OpenAI, acme: Account, mock_provider: MockProvider):
    completion = client.completions.create(model=MODEL, prompt="say this twice")

    assert completion.object == "text_completion"
    assert completion.choices[0].text
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] > 0
    assert line.amount_pico <= line.held_pico


def test_it_streams(client: openai.OpenAI, acme: Account, mock_provider: MockProvider):
    whole = client.completions.create(model=MODEL, prompt="say this twice")
    chunks = list(client.completions.create(model=MODEL, prompt="say this twice", stream=True))

    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    line = acme.lines(2)[-1]
    [billed] = mock_provider.bill(str(line.id))
    assert (line.amount_pico, line.streamed) == (billed["amount_pico"], True)


@pytest.mark.parametrize("prompt", [["one", "two"], [1, 2, 3], [[1, 2], [3]]])
def test_many_prompts_and_answers_are_covered_by_the_hold(
    client: openai.OpenAI, acme: Account, prompt: list[object]
):
    client.completions.create(model=MODEL, prompt=prompt, n=3)  # type: ignore[arg-type]
    [line] = acme.lines()
    assert 0 < line.amount_pico <= line.held_pico


def test_a_bad_request_names_its_place(client: openai.OpenAI, acme: Account):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=MODEL, prompt="x", best_of=21)
    assert (caught.value.param, caught.value.code) == ("best_of", "integer_above_max_value")
    acme.lines(0)
