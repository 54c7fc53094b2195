import pytest


def test_it_works(ask, line):
    reply = ask()

    assert reply.choices[0].message.content == "The quick brown fox"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (4, 4)
    assert reply.usage.total_tokens == 8
    assert reply.model == "gpt-4o-mini"
    assert line()["request"] == reply._request_id


def test_the_headers_are_openais(client):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
    )

    assert raw.headers["x-request-id"].startswith("req_")
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.headers["content-type"] == "application/json"


def test_unknown_parameters_pass(ask):
    assert ask(extra_body={"provider": "acme", "min_p": 0.1, "tools": None}).usage


def test_the_answer_is_verbatim(ask):
    text = 'naïve "漢字"\n\n  \U0001f600 \\ end'
    assert ask(text=text).choices[0].message.content == text


def test_all_messages_and_text_parts_count(client):
    parts = [
        {"type": "text", "text": "three words here"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    reply = client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": None, "refusal": "no"},
        ],
    )

    assert reply.usage.prompt_tokens == 5
    assert reply.choices[0].message.content == "three words here"


def test_an_empty_prompt_costs_one_token(ask):
    reply = ask(text="")
    assert reply.usage.prompt_tokens == 1
    assert reply.choices[0].message.content == "OK"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_cuts(ask, name):
    reply = ask(**{name: 2})
    assert reply.choices[0].message.content == "The quick"
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 2


def test_a_limit_that_is_just_enough_does_not_cut(ask):
    assert ask(max_tokens=4).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stop", ["brown", ["nothing", "brown"]])
def test_stop_cuts(ask, stop):
    reply = ask(stop=stop)
    assert reply.choices[0].message.content == "The quick "
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens == 2


def test_several_choices(ask, line):
    reply = ask(n=3)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert reply.usage.completion_tokens == 12
    assert line()["completion_tokens"] == 12


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert "gpt-4o-mini" in names
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    assert client.models.retrieve("gpt-4o-mini:slow").object == "model"
