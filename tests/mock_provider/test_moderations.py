import time

import openai
import pytest


def test_it_works(client, line):
    reply = client.moderations.create(input="a walk in the park")

    assert reply.id.startswith("modr-")
    assert reply.model == "omni-moderation-latest"
    [result] = reply.results
    assert not result.flagged
    scores = result.category_scores.model_dump(by_alias=True)
    assert len(scores) == 13
    assert all(0 <= score < 0.01 for score in scores.values())
    assert set(result.categories.model_dump(by_alias=True)) == set(scores)
    assert result.category_applied_input_types.violence == ["text"]
    assert "usage" not in reply.model_dump()
    assert (line()["amount_pico"], line()["prompt_tokens"]) == (0, 0)
    assert line()["finished"]


def test_violence_is_flagged(client):
    reply = client.moderations.create(input=["Violence!", "peace", "non-violence"])

    assert [result.flagged for result in reply.results] == [True, False, True]
    assert reply.results[0].categories.violence
    assert reply.results[0].category_scores.violence > 0.9
    assert not reply.results[0].categories.violence_graphic


def test_the_parts_of_a_message_are_judged_together(client):
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    [result] = client.moderations.create(
        input=[image, {"type": "text", "text": "violence"}]
    ).results

    assert result.flagged
    assert result.category_applied_input_types.violence == ["text", "image"]
    assert result.category_applied_input_types.hate == ["text"]


@pytest.mark.parametrize("model", ["omni-moderation-2024-09-26", "text-moderation-latest"])
def test_every_model_is_free(client, line, model):
    assert client.moderations.create(input="x", model=model).model == model
    assert line()["amount_pico"] == 0


def test_errors_and_delays(client, provider, attempt):
    with pytest.raises(openai.InternalServerError):
        client.moderations.create(input="x", model="omni-moderation-latest:error")
    with pytest.raises(openai.BadRequestError):
        client.post("/moderations", body={}, cast_to=object)
    assert provider.bill(attempt) == []
    started = time.monotonic()
    client.moderations.create(input="x", model="omni-moderation-latest:delay=0.2")
    assert time.monotonic() - started >= 0.2
