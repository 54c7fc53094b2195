"""`POST /v1/embeddings` with the official SDK, money included."""

import base64
import struct

import openai
import pytest

from runestone.local.mock_provider.process import MockProvider
from tests.cast import Account

MODEL = "text-embedding-3-small"


def test_it_works(client: openai.OpenAI, acme: Account, mock_provider: MockProvider):
    # The SDK asks for base64 by itself and decodes it.
    answer = client.embeddings.create(model=MODEL, input=["one two three", "four"])

    assert [each.index for each in answer.data] == [0, 1]
    assert all(isinstance(number, float) for number in answer.data[0].embedding)
    [line] = acme.lines()
    [billed] = mock_provider.bill(str(line.id))
    assert line.amount_pico == billed["amount_pico"] == 4 * 20_000
    assert (line.input_tokens, line.output_tokens, line.price_state) == (4, 0, "priced")
    assert line.amount_pico <= line.held_pico


def test_both_encodings_say_the_same(client: openai.OpenAI):
    floats = client.embeddings.create(model=MODEL, input="hello", encoding_format="float")
    raw = client.post(
        "/embeddings",
        body={"model": MODEL, "input": "hello", "encoding_format": "base64"},
        cast_to=dict[str, object],
    )
    packed = base64.b64decode(raw["data"][0]["embedding"])  # type: ignore[index]
    unpacked = struct.unpack(f"<{len(packed) // 4}f", packed)
    assert list(unpacked) == pytest.approx(floats.data[0].embedding)


def test_dimensions_pass_through(client: openai.OpenAI):
    answer = client.embeddings.create(model=MODEL, input="hello", dimensions=7)
    assert len(answer.data[0].embedding) == 7


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]]])
def test_tokens_are_taken_as_well(client: openai.OpenAI, given: list[int]):
    assert client.embeddings.create(model=MODEL, input=given).data


def test_a_blank_is_something(client: openai.OpenAI):
    assert client.embeddings.create(model=MODEL, input=" ").data
    assert len(client.embeddings.create(model=MODEL, input=[" "] * 2_048).data) == 2_048


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [""]}, "input[0]"),
        ({"input": ["x", ""]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": ["x"] * 2_049}, "input"),
        ({"input": 5}, "input"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": [-1]}, "input[0]"),
    ],
)
def test_a_bad_request_names_its_place(
    client: openai.OpenAI, acme: Account, fields: dict[str, object], param: str
):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/embeddings", body={"model": MODEL, **fields}, cast_to=object)
    assert caught.value.param == param
    acme.lines(0)


def test_a_model_that_cannot(client: openai.OpenAI, acme: Account):
    with pytest.raises(openai.BadRequestError, match="does not support embeddings"):
        client.embeddings.create(model="gpt-4o-mini", input="hello")
    with pytest.raises(openai.BadRequestError, match="does not support chat"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}])
    acme.lines(0)


def test_the_model_must_be_named(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/embeddings", body={"input": "x"}, cast_to=object)
    assert (caught.value.param, caught.value.code) == ("model", "missing_required_parameter")
