"""Every endpoint's answers, held against OpenAI's published schemas and against ours."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from providers.models import Upstream
from tests.cast import Account, add_mock_model, open_account, wait_until_served
from tests.conftest import Scenario
from tests.contract.judge import check, statuses
from tests.gateway_process import GatewayProcess

HELLO = [{"role": "user", "content": "one two three"}]
FUNCTION = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
CUSTOM = {"type": "custom", "custom": {"name": "write"}}


@pytest.fixture
def http(gateway: GatewayProcess, acme: Account) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {acme.key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as made:
        yield made


def events(answer: httpx.Response) -> list[Any]:
    """The data of a stream's events. `[DONE]` has to be the last, if there is one."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    told = data[:-1] if data[-1] == "[DONE]" else data
    assert told, answer.text
    return [json.loads(each) for each in told]


CHATS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("", {"n": 2}),
    ("", {"logprobs": True, "top_logprobs": 2}),
    ("", {"seed": 7, "user": "u", "metadata": {"a": "b"}, "temperature": 0}),
    ("", {"stream_options": {"include_usage": True}}),
    ("", {"response_format": {"type": "json_object"}}),
    ("tools=1", {"tools": [FUNCTION]}),
    ("tools=2", {"tools": [FUNCTION], "parallel_tool_calls": True}),
    ("tools=1", {"tools": [CUSTOM]}),
    ("refusal", {}),
    ("length", {"max_completion_tokens": 2}),
    ("cached", {}),
    ("reasoning=8", {}),
    ("finish=content_filter", {}),
    ("usage_every_chunk", {"stream_options": {"include_usage": True}}),
    ("comments;crlf", {}),
    ("no_usage", {}),
]


@pytest.mark.parametrize(("how", "fields"), CHATS, ids=lambda each: str(each)[:40])
def test_chat(http: httpx.Client, scenario: Scenario, how: str, fields: dict[str, Any]):
    body = {"model": scenario(how) if how else "gpt-4o-mini", "messages": HELLO, **fields}
    streamed = http.post("/chat/completions", json=body | {"stream": True})
    chunks = events(streamed)
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert len(chunks) >= 2
    for chunk in chunks:
        check(chunk, openai="CreateChatCompletionStreamResponse", ours="ChatCompletionChunk")

    body.pop("stream_options", None)
    whole = http.post("/chat/completions", json=body)
    assert whole.status_code == 200, whole.text
    check(whole.json(), openai="CreateChatCompletionResponse", ours="ChatCompletion")


def test_the_echo(http: httpx.Client):
    body = {"model": "echo", "messages": HELLO}
    whole = http.post("/chat/completions", json=body).json()
    check(whole, openai="CreateChatCompletionResponse", ours="ChatCompletion")
    for chunk in events(http.post("/chat/stream", json=body)):
        check(chunk, openai="CreateChatCompletionStreamResponse", ours="ChatCompletionChunk")


@pytest.mark.parametrize("fields", [{}, {"n": 2}, {"logprobs": 2}, {"prompt": ["a", "b"]}])
def test_completions(http: httpx.Client, fields: dict[str, Any]):
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "one two", **fields}
    whole = http.post("/completions", json=body).json()
    check(whole, openai="CreateCompletionResponse", ours="Completion")
    for chunk in events(http.post("/completions", json=body | {"stream": True})):
        check(chunk, ours="CompletionChunk")
        # OpenAI describes no chunk; it has the form of an answer that has not ended yet.
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        check(chunk | {"usage": chunk.get("usage") or _NO_USAGE}, openai="CreateCompletionResponse")


_NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("fields", [{}, {"input": ["a", "b"]}, {"dimensions": 8}])
def test_embeddings(http: httpx.Client, fields: dict[str, Any]):
    body = {"model": "text-embedding-3-small", "input": "one two", **fields}
    check(
        http.post("/embeddings", json=body).json(),
        openai="CreateEmbeddingResponse",
        ours="EmbeddingList",
    )
    # Base64 is what the SDKs ask for, and what OpenAI's schemas leave out.
    check(
        http.post("/embeddings", json=body | {"encoding_format": "base64"}).json(),
        ours="EmbeddingList",
    )


def test_moderations(http: httpx.Client):
    for given in ("one", ["one", "two"], [{"type": "text", "text": "one"}]):
        answer = http.post("/moderations", json={"input": given}).json()
        check(answer, openai="CreateModerationResponse", ours="Moderation")


def test_models(http: httpx.Client):
    listed = http.get("/models").json()
    check(listed, openai="ListModelsResponse", ours="ModelList")
    for model in listed["data"][:5]:
        check(http.get(f"/models/{model['id']}").json(), openai="Model", ours="Model")


RESPONSES: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("", {"instructions": "Be brief.", "metadata": {"a": "b"}, "store": False}),
    ("", {"text": {"format": {"type": "json_object"}}}),
    ("tools=1", {"tools": [FUNCTION["function"] | {"type": "function"}]}),
    ("refusal", {}),
    ("length", {"max_output_tokens": 16}),
    ("reasoning=8", {"reasoning": {"effort": "low"}}),
]


@pytest.mark.parametrize(("how", "fields"), RESPONSES, ids=lambda each: str(each)[:40])
def test_responses(http: httpx.Client, scenario: Scenario, how: str, fields: dict[str, Any]):
    model = scenario(how) if how else "gpt-4o-mini"
    body = {"model": model, "input": "one two three", **fields}
    whole = http.post("/responses", json=body)
    assert whole.status_code == 200, whole.text
    check(whole.json(), openai="Response", ours="Response")
    for event in events(http.post("/responses", json=body | {"stream": True})):
        check(event, openai="ResponseStreamEvent", ours="ResponseEvent")


def test_kept_responses(http: httpx.Client):
    made = http.post("/responses", json={"model": "gpt-4o-mini", "input": "one"}).json()
    place = f"/responses/{made['id']}"
    check(http.get(place).json(), openai="Response", ours="Response")
    items = http.get(f"{place}/input_items").json()
    check(items, openai="ResponseItemList", ours="ResponseItemList")
    check(http.delete(place).json(), ours="ResponseDeleted")
    check(http.get(place).json(), openai="ErrorResponse", ours="Error")


@pytest.mark.parametrize("how", ["", "tools=1", "refusal", "length", "reasoning=8"])
def test_messages(http: httpx.Client, scenario: Scenario, how: str):
    """Anthropic publishes no description: ours, and its SDK in tests/api/messages, judge these."""
    model = scenario(how) if how else "gpt-4o-mini"
    body: dict[str, Any] = {"model": model, "max_tokens": 64, "messages": HELLO}
    check(http.post("/messages", json=body).json(), ours="AnthropicMessage")
    for event in events(http.post("/messages", json=body | {"stream": True})):
        check(event, ours="MessagesEvent")
    counted = http.post("/messages/count_tokens", json={"model": model, "messages": HELLO}).json()
    check(counted, ours="TokenCount")


def test_health(gateway: GatewayProcess):
    check(httpx.get(f"{gateway.root}/health").json(), ours="Health")
    check(httpx.get(f"{gateway.root}/health/ready").json(), ours="Ready")
    check(httpx.get(f"{gateway.root}/health/live").json(), ours="Alive")
    check(httpx.get(f"{gateway.root}/health/providers").json(), ours="ProvidersHealth")


# Errors.

PATHS = ["/chat/completions", "/completions", "/embeddings", "/moderations", "/responses"]


def refused(answer: httpx.Response, status: int, *, messages: bool = False) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    if messages:
        check(answer.json(), ours="MessagesError")
    else:
        check(answer.json(), openai="ErrorResponse", ours="Error")


@pytest.mark.parametrize("path", [*PATHS, "/messages", "/messages/count_tokens"])
def test_refusals(http: httpx.Client, path: str):
    messages = path.startswith("/messages")
    form: dict[str, Any] = {"messages": messages}
    wrong = {"input": 5, "messages": 5, "prompt": {}, "model": 5}
    cut: dict[str, Any] = {"content": b"{", "headers": {"content-type": "application/json"}}
    refused(http.post(path, json={}, headers={"authorization": ""}), 401, **form)
    refused(http.post(path, json={}, headers={"authorization": "Bearer sk-x"}), 401, **form)
    refused(http.post(path, **cut), 400, **form)
    refused(http.post(path, json=wrong), 400, **form)
    refused(http.post(path, content=b"{}", headers={"content-type": "text/plain"}), 415, **form)
    refused(http.get(path), 405, **form)


def test_unknown_things(http: httpx.Client):
    refused(http.get("/nothing"), 404)
    refused(http.get("/models/nothing"), 404)
    refused(http.get("/responses/resp_nothing"), 404)
    refused(http.post("/chat/completions", json={"model": "nothing", "messages": HELLO}), 404)
    refused(http.post("/responses", json={"model": "nothing", "input": "x"}), 400)


@pytest.mark.parametrize("path", [*PATHS, "/messages"])
def test_our_own_fields_are_read_everywhere(http: httpx.Client, path: str):
    model = {"/completions": "gpt-3.5-turbo-instruct", "/embeddings": "text-embedding-3-small"}
    body = {"messages": HELLO, "input": "x", "prompt": "x", "max_tokens": 16}
    if path == "/responses":
        body = {"input": "x"}
    if path != "/moderations":
        body["model"] = model.get(path, "gpt-4o-mini")
    answer = http.post(path, json=body | {"provider": "nobody"})
    refused(answer, 400, messages=path == "/messages")
    assert "'provider'" in answer.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529])
def test_the_providers_errors(http: httpx.Client, scenario: Scenario, status: int):
    model = scenario(f"error={status}")
    for stream in (False, True):
        body = {"model": model, "messages": HELLO, "stream": stream}
        answer = http.post("/chat/completions", json=body)
        refused(answer, answer.status_code)
        assert 400 <= answer.status_code < 600
        assert str(answer.status_code) in statuses("/v1/chat/completions")


def test_a_stream_that_breaks(http: httpx.Client, scenario: Scenario):
    body = {"model": scenario("midstream_error=2"), "messages": HELLO, "stream": True}
    *chunks, last = events(http.post("/chat/completions", json=body))
    check(last, openai="ErrorResponse", ours="Error")
    for chunk in chunks:
        check(chunk, openai="CreateChatCompletionStreamResponse", ours="ChatCompletionChunk")


def test_no_money(gateway: GatewayProcess, live: str):
    poor = open_account("Poor", budget_usd="0.000000001")
    headers = {"authorization": f"Bearer {poor.key}"}
    body = {"model": "gpt-4o-mini", "messages": HELLO}
    refused(httpx.post(f"{gateway.url}/chat/completions", json=body, headers=headers), 429)


def test_no_price(http: httpx.Client, client: openai.OpenAI):
    name = "contract-unpriced"
    add_mock_model(name, "gpt-4o-mini", priced=False, upstream=Upstream.objects.get(slug="mock"))
    wait_until_served(client, name)
    refused(http.post("/chat/completions", json={"model": name, "messages": HELLO}), 402)
