"""`POST /v1/moderations` with the official SDK: free, and still one ledger line each."""

import openai

from tests.cast import Account


def test_it_works(client: openai.OpenAI, acme: Account):
    harmless = client.moderations.create(input="good morning")
    flagged = client.moderations.create(input=["peace", "violence"])

    assert not harmless.results[0].flagged
    assert [result.flagged for result in flagged.results] == [False, True]
    assert [line.amount_pico for line in acme.lines(2)] == [0, 0]
    assert acme.lines(2)[0].model == "omni-moderation-latest"


def test_parts_are_taken_as_well(client: openai.OpenAI):
    image = {"type": "image_url", "image_url": {"url": "https://example.test/cat.png"}}
    answer = client.moderations.create(input=[{"type": "text", "text": "a cat"}, image])  # type: ignore[list-item]
    assert answer.results
