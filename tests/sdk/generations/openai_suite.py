"""What every generation of openai-python must be able to do; see tests/sdk/test_generations.py."""

import json
import os
import time

import openai
import pytest

STAGE = json.loads(os.environ["RUNESTONE_SDK"])
MODELS = STAGE["models"]
MESSAGES = [{"role": "user", "content": "The quick brown fox"}]
FUNCTION = {
    "name": "lookup",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TOOL = {"type": "function", "function": FUNCTION}


def client_of(**options):
    return openai.OpenAI(
        **{"base_url": STAGE["url"], "api_key": STAGE["key"], "max_retries": 0, **options}
    )


@pytest.fixture
def client():
    with client_of() as made:
        yield made


def ask(client, model="plain", **options):
    return client.chat.completions.create(
        **{"model": MODELS.get(model, model), "messages": MESSAGES, **options}
    )


def text_of(chunk):
    # Azure begins with a chunk that tells what its filters say, and has no choices.
    return "".join(choice.delta.content or "" for choice in chunk.choices)


def test_it_works(client):
    answer = ask(client)
    assert answer.choices[0].message.content == "The quick brown fox"
    assert answer.usage.total_tokens == 8
    assert answer._request_id.startswith("req_")


async def test_it_works_async():
    async with openai.AsyncOpenAI(base_url=STAGE["url"], api_key=STAGE["key"]) as client:
        answer = await ask(client)
        stream = await ask(client, stream=True)
        said = [text_of(chunk) async for chunk in stream]
    assert answer.choices[0].message.content == "".join(said) == "The quick brown fox"


def test_it_streams(client):
    *chunks, last = ask(client, stream=True, stream_options={"include_usage": True})
    said = "".join(map(text_of, chunks))
    assert said == "The quick brown fox"
    assert last.usage.total_tokens == 8


def test_the_stream_helper(client):
    with client.chat.completions.stream(model=MODELS["plain"], messages=MESSAGES) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "The quick brown fox"


def test_tools(client):
    answer = ask(client, "tools", tools=[TOOL])
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert json.loads(call.function.arguments) == {"city": "mock"}
    said = [
        *MESSAGES,
        answer.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "Nice"},
    ]
    assert ask(client, "tools", tools=[TOOL], messages=said).choices[0].message.content


def test_tools_in_a_stream(client):
    arguments = {0: "", 1: ""}
    for chunk in ask(client, "twoTools", tools=[TOOL], stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                arguments[call.index] += call.function.arguments or ""
    assert [json.loads(each) for each in arguments.values()] == [{"city": "mock"}] * 2


def test_the_other_endpoints(client):
    assert "gpt-4o-mini" in {model.id for model in client.models.list()}
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert [len(each.embedding) for each in vectors.data] == [1536, 1536]
    assert client.moderations.create(input="violence").results[0].flagged
    text = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="a b").choices[0].text
    assert text == "a b"
    assert client.responses.create(model="gpt-4o-mini", input="Hello").output_text == "Hello"


@pytest.mark.parametrize(
    ("options", "model", "fields", "exception", "codes"),
    [
        ({"api_key": "sk-wrong"}, "", {}, openai.AuthenticationError, {"invalid_api_key"}),
        ({"api_key": STAGE["poorKey"]}, "", {}, openai.RateLimitError, {"insufficient_quota"}),
        ({}, "none", {}, openai.NotFoundError, {"model_not_found"}),
        ({}, "", {"temperature": 3}, openai.BadRequestError, {"decimal_above_max_value"}),
        # Azure's code for what has no name is the status.
        ({}, "unprocessable", {}, openai.UnprocessableEntityError, {None, "422"}),
        ({}, "busy", {}, openai.RateLimitError, {"rate_limit_exceeded"}),
    ],
)
def test_errors(options, model, fields, exception, codes):
    with client_of(**options) as client, pytest.raises(exception) as caught:
        ask(client, model or "plain", **fields)
    assert caught.value.code in codes
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize("model", ["cut", "brokenInside"])
def test_a_stream_that_breaks_raises(client, model):
    said = ""
    with pytest.raises(openai.APIError):
        for chunk in ask(client, model, stream=True):
            said += text_of(chunk)
    assert said.strip() == "The quick"


def test_retry_after_is_obeyed():
    started = time.monotonic()
    with client_of(max_retries=2) as client:
        answer = client.chat.completions.with_raw_response.create(
            model=MODELS["busyTwice"], messages=MESSAGES
        )
    assert answer.retries_taken == 2
    # The header in seconds says 1, and the SDK's own patience starts at half a second.
    assert time.monotonic() - started < 0.9


@pytest.mark.parametrize("model", ["downOnce", "failsOnce"])
def test_a_failure_of_the_provider_is_tried_again(model):
    with client_of(max_retries=1) as client:
        answer = client.chat.completions.with_raw_response.create(
            model=MODELS[model], messages=MESSAGES
        )
    assert answer.retries_taken == 1


def test_a_budget_that_is_used_up_is_not_tried_again():
    with client_of(api_key=STAGE["poorKey"], max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client)
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_timeout():
    with client_of(timeout=0.3) as client, pytest.raises(openai.APITimeoutError):
        ask(client, "late")
