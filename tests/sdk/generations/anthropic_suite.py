"""What each generation of anthropic's SDK must be able to do; see tests/sdk/test_generations.py."""

import json
import os
import time

import anthropic
import pytest

STAGE = json.loads(os.environ["RUNESTONE_SDK"])
MODELS = STAGE["models"]
# The SDK adds the rest of the path itself.
URL = STAGE["url"].removesuffix("/v1")
MESSAGES = [{"role": "user", "content": "The quick brown fox"}]
TOOL = {
    "name": "lookup",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
)


def client_of(**options):
    return anthropic.Anthropic(
        **{"base_url": URL, "api_key": STAGE["key"], "max_retries": 0, **options}
    )


@pytest.fixture
def client():
    with client_of() as made:
        yield made


def asked(model="gpt-4o-mini", **options):
    model = MODELS.get(model, model)
    return {"model": model, "max_tokens": 100, "messages": MESSAGES, **options}


def test_it_works(client):
    message = client.messages.create(**asked())
    assert message.content[0].text == "The quick brown fox"
    assert (message.role, message.stop_reason) == ("assistant", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 4)
    assert message._request_id.startswith("req_")


async def test_it_works_async():
    async with anthropic.AsyncAnthropic(base_url=URL, api_key=STAGE["key"]) as client:
        message = await client.messages.create(**asked())
        async with client.messages.stream(**asked()) as stream:
            said = [text async for text in stream.text_stream]
    assert message.content[0].text == "".join(said) == "The quick brown fox"


def test_it_is_the_generation_that_speaks_so(client):
    """Up to version 1 the key is in a header of Anthropic's own; here lies the difference."""
    sent = client.messages.with_raw_response.create(**asked()).http_response.request
    assert sent.headers["x-api-key"] == STAGE["key"]
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in sent.headers


def test_a_bearer_token():
    with client_of(api_key=None, auth_token=STAGE["key"]) as client:
        raw = client.messages.with_raw_response.create(**asked())
    assert raw.http_response.request.headers["authorization"] == f"Bearer {STAGE['key']}"
    assert "x-api-key" not in raw.http_response.request.headers
    assert raw.parse().content[0].text == "The quick brown fox"


def test_it_streams(client):
    events = list(client.messages.create(**asked(), stream=True))
    said = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert [event.type for event in events if event.type != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert "".join(said) == "The quick brown fox"
    assert events[-2].usage.output_tokens == 4


def test_the_stream_helper(client):
    with client.messages.stream(**asked()) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert said == final.content[0].text == "The quick brown fox"
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)


def test_a_system_prompt_is_read(client):
    message = client.messages.create(**asked(system="Answer in verse"))
    assert message.usage.input_tokens == 4 + 3


def test_the_temperature(client):
    # Version 1 has no parameter for it any more.
    message = client.messages.create(**asked(extra_body={"temperature": 0.5}))
    assert message.content[0].text


def test_images(client):
    sources = [
        {"type": "base64", "media_type": "image/png", "data": PIXEL},
        {"type": "url", "url": "https://example.com/cat.png"},
    ]
    images = [{"type": "image", "source": source} for source in sources]
    content = [*images, {"type": "text", "text": "what is this"}]
    message = client.messages.create(**asked(messages=[{"role": "user", "content": content}]))
    assert message.content[0].text == "what is this"


def test_tools(client):
    first = client.messages.create(**asked("twoTools", tools=[TOOL]))
    assert first.stop_reason == "tool_use"
    assert [block.input for block in first.content] == [{"city": "mock"}] * 2
    second = client.messages.create(**asked("twoTools", tools=[TOOL], messages=answered(first)))
    assert second.content[0].text
    assert second.stop_reason == "end_turn"


def answered(message):
    """The conversation in which the caller has run the tools that `message` calls."""
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "Nice"}
        for block in message.content
    ]
    return [
        *MESSAGES,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]


def test_tools_in_a_stream(client):
    with client.messages.stream(**asked("twoTools", tools=[TOOL])) as stream:
        final = stream.get_final_message()
    assert [block.input for block in final.content] == [{"city": "mock"}] * 2
    with client.messages.stream(
        **asked("twoTools", tools=[TOOL], messages=answered(final))
    ) as stream:
        assert stream.get_final_text()


def test_tokens_are_counted(client):
    counted = client.messages.count_tokens(model="gpt-4o-mini", messages=MESSAGES)
    longer = client.messages.count_tokens(
        model="gpt-4o-mini", messages=MESSAGES, system="Answer in verse", tools=[TOOL]
    )
    assert 0 < counted.input_tokens < longer.input_tokens


@pytest.mark.parametrize(
    ("options", "model", "fields", "exception", "kind"),
    [
        ({"api_key": "sk-wrong"}, "", {}, anthropic.AuthenticationError, "authentication_error"),
        (
            *({"api_key": None, "auth_token": "sk-wrong"}, "", {}),
            *(anthropic.AuthenticationError, "authentication_error"),
        ),
        ({"api_key": STAGE["poorKey"]}, "", {}, anthropic.RateLimitError, "rate_limit_error"),
        ({}, "none", {}, anthropic.NotFoundError, "not_found_error"),
        (
            *({}, "", {"extra_body": {"temperature": 3}}),
            *(anthropic.BadRequestError, "invalid_request_error"),
        ),
        ({}, "", {"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
        ({}, "busy", {}, anthropic.RateLimitError, "rate_limit_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(options, model, fields, exception, kind, stream):
    with client_of(**options) as client, pytest.raises(exception) as caught:
        client.messages.create(**asked(model or "gpt-4o-mini", **fields), stream=stream)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.body["request_id"] == caught.value.response.headers["request-id"]


@pytest.mark.parametrize("model", ["cut", "brokenInside"])
def test_a_stream_that_breaks_raises(client, model):
    said = ""
    with pytest.raises(anthropic.APIStatusError):
        for event in client.messages.create(**asked(model), stream=True):
            if event.type == "content_block_delta":
                said += event.delta.text
    assert said.strip() == "The quick"


def test_retry_after_is_obeyed():
    started = time.monotonic()
    with client_of(max_retries=2) as client:
        answer = client.messages.with_raw_response.create(**asked("busyTwice"))
    assert answer.retries_taken == 2
    # The header in seconds says 1, and the SDK's own patience starts at half a second.
    assert time.monotonic() - started < 0.9


def test_a_budget_that_is_used_up_is_not_tried_again():
    with client_of(api_key=STAGE["poorKey"], max_retries=2) as client:
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(**asked())
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_timeout():
    with client_of(timeout=0.3) as client, pytest.raises(anthropic.APITimeoutError):
        client.messages.create(**asked("late"))
