import openai
import pytest

MODEL = "gpt-3.5-turbo-instruct"
INPUT, OUTPUT = 1_000_000, 2_000_000


@pytest.fixture
def complete(client):
    """complete("cut=2", prompt="a b", stream=True) -> the SDK's own answer."""

    def completed(scenario="", prompt="The quick brown fox", **options):
        headers = {"x-mock-scenario": scenario} if scenario else {}
        return client.completions.create(
            **{"model": MODEL, "prompt": prompt, "extra_headers": headers, **options}
        )

    return completed


def said(chunks):
    return [chunk.choices[0].text for chunk in chunks if chunk.choices]


def test_it_works(complete, line):
    reply = complete()

    assert reply.id.startswith("cmpl-")
    assert (reply.object, reply.model) == ("text_completion", MODEL)
    [choice] = reply.choices
    assert (choice.index, choice.text, choice.logprobs) == (0, "The quick brown fox", None)
    assert choice.finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (4, 4)
    assert line()["amount_pico"] == 4 * INPUT + 4 * OUTPUT


def test_it_streams(complete, line):
    chunks = list(complete(stream=True, stream_options={"include_usage": True}))

    assert said(chunks) == ["The ", "quick ", "brown ", "fox", ""]
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 4 + ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 8
    assert (line()["completion_tokens"], line()["streamed"], line()["finished"]) == (4, True, True)


@pytest.mark.parametrize(
    ("prompt", "texts", "tokens"),
    [
        ("a b", ["a b"], 2),
        (["a b", "c"], ["a b", "c"], 3),
        ([7, 8, 9], ["7 8 9"], 3),
        ([[7, 8], [9]], ["7 8", "9"], 3),
        (None, ["OK"], 1),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_every_form_of_a_prompt(complete, line, prompt, texts, tokens, stream):
    answer = complete(prompt=prompt, stream=stream)
    seen = dict.fromkeys(range(len(texts)), "")
    for part in answer if stream else [answer]:
        for choice in part.choices:
            seen[choice.index] += choice.text

    assert list(seen.values()) == texts
    assert line()["prompt_tokens"] == tokens
    assert line()["finished"]


def test_sixteen_tokens_are_the_default(complete):
    reply = complete(prompt="word " * 20)
    assert reply.usage.completion_tokens == 16
    assert reply.choices[0].finish_reason == "length"
    assert complete(prompt="word " * 20, max_tokens=20).choices[0].finish_reason == "stop"


def test_several_choices_of_several_prompts(complete, line):
    reply = complete(prompt=["a", "b c"], n=2)
    assert [choice.text for choice in reply.choices] == ["a", "a", "b c", "b c"]
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert line()["completion_tokens"] == 6


def test_what_best_of_throws_away_is_paid(complete, line):
    reply = complete(prompt=["a", "b c"], n=2, best_of=5)
    assert len(reply.choices) == 4
    assert line()["completion_tokens"] == reply.usage.completion_tokens == 5 * 3


@pytest.mark.parametrize("stream", [False, True])
def test_the_echo_is_free(complete, line, stream):
    answer = complete(echo=True, max_tokens=1, stream=stream)
    text = "".join(said(answer)) if stream else answer.choices[0].text
    assert text == "The quick brown foxThe"
    assert line()["completion_tokens"] == 1


def test_nothing_but_the_echo(complete):
    reply = complete(echo=True, max_tokens=0)
    assert reply.choices[0].text == "The quick brown fox"
    assert reply.usage.completion_tokens == 0


def test_the_suffix_is_read(complete):
    assert complete(suffix="and so on").usage.prompt_tokens == 7


def test_stop_cuts(complete):
    assert complete(stop="brown").choices[0].text == "The quick "


def test_a_broken_stream_is_billed_for_what_was_made(complete, line):
    chunks = []
    with pytest.raises(openai.APIError):
        chunks.extend(complete("midstream_error=2", stream=True))
    assert line()["completion_tokens"] == 2
    assert not line()["finished"]


def test_errors(complete, provider, attempt):
    with pytest.raises(openai.RateLimitError):
        complete("error=429;delay=0.1")
    with pytest.raises(openai.BadRequestError) as caught:
        complete(logprobs=6)
    assert caught.value.param == "logprobs"
    assert provider.bill(attempt) == []
