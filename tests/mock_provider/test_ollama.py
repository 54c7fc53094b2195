"""Ollama's own API, by its bytes: there is no official client to judge among our dependencies."""

import json
import urllib.request

import pytest

from tests.mock_provider import raw

TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"n": {"type": "integer"}}}},
    }
]


@pytest.fixture
def post(provider, attempt):
    def called(path="/api/chat", *, scenario="", text="The quick brown fox", **fields):
        messages = [{"role": "user", "content": text}]
        body = {"model": "gpt-4o-mini", "messages": messages, **fields}
        headers = {"x_mock_scenario": scenario, "x_runestone_attempt_id": attempt}
        return raw.call(provider.url, raw.request(body, path=path, **headers))

    return called


def lines(reply):
    return [json.loads(line) for line in b"".join(reply.chunks()).splitlines()]


def test_it_works(post, line):
    reply = post(stream=False)
    told = json.loads(reply.body)
    assert told["message"] == {"role": "assistant", "content": "The quick brown fox"}
    assert (told["done"], told["done_reason"]) == (True, "stop")
    assert (told["prompt_eval_count"], told["eval_count"]) == (4, 4)
    assert line()["amount_pico"] == 4 * 150_000 + 4 * 600_000


def test_it_streams_unless_told_otherwise(post, line):
    reply = post()
    assert b"content-type: application/x-ndjson" in reply.head
    *said, last = lines(reply)
    assert [each["message"]["content"] for each in said] == ["The ", "quick ", "brown ", "fox"]
    assert not any(each["done"] for each in said)
    assert (last["done"], last["prompt_eval_count"], last["eval_count"]) == (True, 4, 4)
    assert (line()["streamed"], line()["completion_tokens"]) == (True, 4)


def test_a_tool_is_called_in_one_line(post, line):
    called, last = lines(post(scenario="tools", tools=TOOLS))
    assert called["message"]["tool_calls"] == [{"function": {"name": "f", "arguments": {"n": 1}}}]
    assert last["done_reason"] == "stop"
    assert line()["completion_tokens"] == last["eval_count"]


def test_thoughts_come_first(post, line):
    thought, *_, last = lines(post(scenario="reasoning=3"))
    assert thought["message"]["thinking"] == "hm hm hm"
    assert (last["eval_count"], line()["reasoning_tokens"]) == (7, 3)


@pytest.mark.parametrize(
    ("options", "words", "reason"),
    [
        ({"num_predict": 2}, ["The ", "quick"], "length"),
        ({"stop": ["fox", "brown"]}, ["The ", "quick "], "stop"),
    ],
)
def test_options_are_obeyed(post, options, words, reason):
    *said, last = lines(post(options=options))
    assert [each["message"]["content"] for each in said] == words
    assert last["done_reason"] == reason


def test_a_prompt_from_the_cache_is_not_counted(post, line):
    told = json.loads(post(stream=False, scenario="cached=2").body)
    assert "prompt_eval_count" not in told
    assert line()["cached_tokens"] == 2


def test_an_error_is_a_text(post):
    reply = post(scenario="error=404;message=no such model")
    assert (reply.status, json.loads(reply.body)) == (404, {"error": "no such model"})


def test_an_error_in_the_middle_is_a_line(post, line):
    *_, last = lines(post(scenario="midstream_error=2"))
    assert set(last) == {"error"}
    assert (line()["finished"], line()["completion_tokens"]) == (False, 2)


def test_images_are_base64(post):
    def image(data):
        return [{"role": "user", "content": "see", "images": [data]}]

    assert post(messages=image("AAAA")).status == 200
    assert post(messages=image("https://x.test/y.png")).status == 400


def test_embeddings(post, line):
    told = json.loads(post("/api/embed", input=["one two", "three"], dimensions=4).body)
    assert [len(each) for each in told["embeddings"]] == [4, 4]
    assert told["prompt_eval_count"] == line()["prompt_tokens"] == 3


def test_tags(provider):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"{provider.root}/api/tags"
    ) as reply:
        assert "gpt-4o-mini" in [model["name"] for model in json.load(reply)["models"]]


def test_garbage_is_refused(post):
    assert post(messages="no").status == 400
