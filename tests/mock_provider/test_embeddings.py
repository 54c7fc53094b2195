import base64
import struct

import openai
import pytest


def test_it_works(client):
    reply = client.embeddings.create(model="text-embedding-3-small", input="hello world")
    (item,) = reply.data
    assert len(item.embedding) == 1536
    assert sum(x * x for x in item.embedding) == pytest.approx(1, abs=1e-4)
    assert reply.usage.total_tokens == 2


def test_floats_and_base64_are_the_same_vector(client):
    plain, packed = (
        client.embeddings.create(model="m", input="hi", dimensions=8, encoding_format=form)
        for form in ("float", "base64")
    )
    packed = struct.unpack("<8f", base64.b64decode(packed.data[0].embedding))
    assert list(packed) == plain.data[0].embedding


def test_texts_differ_and_repeat(client):
    reply = client.embeddings.create(model="m", input=["a", "b", "a"], dimensions=4)
    first, second, third = (item.embedding for item in reply.data)
    assert first == third != second
    assert [item.index for item in reply.data] == [0, 1, 2]


@pytest.mark.parametrize(("tokens", "vectors"), [([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_token_lists(client, tokens, vectors):
    reply = client.embeddings.create(model="m", input=tokens, dimensions=4)
    assert len(reply.data) == vectors
    assert reply.usage.prompt_tokens == 3


def test_errors(client, provider, attempt):
    with pytest.raises(openai.RateLimitError):
        client.embeddings.create(model="text-embedding-3-small:error=429", input="hi")
    assert provider.bill(attempt) == []
