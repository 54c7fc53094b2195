"""Azure's wire, by the official SDK's own client for it."""

import json

import openai
import pytest

from tests.mock_provider import raw

MESSAGES = [{"role": "user", "content": "The quick brown fox"}]
CLASSIC = "/openai/deployments/gpt-4o-mini/chat/completions"


@pytest.fixture
def azure(provider, attempt):
    headers = {"x-runestone-attempt-id": attempt}
    with openai.AzureOpenAI(
        azure_endpoint=provider.root,
        api_key="any",
        api_version="2024-12-01-preview",
        max_retries=0,
        default_headers=headers,
    ) as made:
        yield made


def called(provider, path, *, scenario="", **fields):
    body = {"model": "gpt-4o-mini", "messages": MESSAGES, **fields}
    return raw.call(provider.url, raw.request(body, path=path, x_mock_scenario=scenario))


def test_it_works(azure, line):
    completion = azure.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert completion.choices[0].message.content == "The quick brown fox"
    assert completion.model_extra["prompt_filter_results"][0]["prompt_index"] == 0
    assert not completion.choices[0].content_filter_results["hate"]["filtered"]
    assert line()["amount_pico"] == 4 * 150_000 + 4 * 600_000


def test_a_stream_opens_with_what_the_filters_say(azure, line):
    opening, *chunks = azure.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True
    )
    assert (opening.choices, opening.id, opening.model) == ([], "", "")
    assert opening.model_extra["prompt_filter_results"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == (
        "The quick brown fox"
    )
    assert line()["finished"]


def test_the_deployment_is_the_model(azure, line):
    azure.chat.completions.create(model="gpt-4o:chunks=2", messages=MESSAGES)
    assert (line()["model"], line()["completion_tokens"]) == ("gpt-4o:chunks=2", 2)


def test_the_newer_form(provider, attempt, line):
    with openai.OpenAI(
        base_url=f"{provider.root}/openai/v1",
        api_key="any",
        default_headers={"x-runestone-attempt-id": attempt},
    ) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert line()["completion_tokens"] == 4


def test_embeddings(azure, line):
    azure.embeddings.create(model="text-embedding-3-small", input="one two")
    assert line()["prompt_tokens"] == 2


def test_the_classic_form_needs_a_version(provider):
    reply = called(provider, CLASSIC)
    assert reply.status == 404
    assert json.loads(reply.body)["error"] == {"code": "404", "message": "Resource not found"}


def test_replies_are_marked(provider):
    reply = called(provider, f"{CLASSIC}?api-version=2024-10-21")
    assert b"apim-request-id: " in reply.head
    assert b"apim-request-id: " not in called(provider, "/v1/chat/completions").head


def test_a_filtered_prompt(provider):
    reply = called(
        provider, f"{CLASSIC}?api-version=x", scenario="error=400;code=content_filter;message=No."
    )
    error = json.loads(reply.body)["error"]
    assert reply.status == 400
    assert (error["code"], error["param"], error["type"]) == ("content_filter", "prompt", None)
    assert error["innererror"]["content_filter_result"]["violence"]["filtered"]


def test_other_errors_have_azures_shape(provider):
    reply = called(provider, f"{CLASSIC}?api-version=x", scenario="error=429;retry_after=3")
    assert (reply.status, set(json.loads(reply.body)["error"])) == (429, {"code", "message"})
    assert b"retry-after: 3\r\n" in reply.head


@pytest.mark.parametrize("path", ["/openai/v2/chat/completions", "/openai/deployments/x/models"])
def test_other_paths_are_nobodys(provider, path):
    assert called(provider, path).status == 404
