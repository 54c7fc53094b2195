"""Azure's addresses, its header, its filters; all else is OpenAI's and tested there."""

import json

import pytest
from openai.types.chat import ChatCompletionChunk

from providers.dialects.azure import API_VERSION_DEFAULT, AzureDialect
from providers.dialects.quirks import Quirks
from providers.wire import EMBEDDING, MODERATION
from runestone.lib.errors import UpstreamRefused
from tests.providers.calls import chat, recording, target
from tests.providers.contract import heard

dialect = AzureDialect()
RESOURCE = "https://acme.openai.azure.com"


def request(base_url=RESOURCE, **fields):
    to = target(base_url=base_url, **fields)
    return dialect.request(chat(), to, output_tokens_max=None)


def test_it_works():
    made = request(upstream_model="gpt-4o")
    path = "/openai/deployments/gpt-4o/chat/completions"
    assert made.url == f"{RESOURCE}{path}?api-version={API_VERSION_DEFAULT}"
    assert made.headers["api-key"] == "sk-upstream"
    assert "authorization" not in made.headers


def test_the_newer_form_has_openais_paths_and_needs_no_version():
    made = request(f"{RESOURCE}/openai/v1", upstream_model="my-gpt")
    assert made.url == f"{RESOURCE}/openai/v1/chat/completions"
    assert json.loads(made.body)["model"] == "my-gpt"


@pytest.mark.parametrize(
    ("base_url", "query"),
    [
        (RESOURCE, {"api-version": "2025-04-01-preview"}),
        (f"{RESOURCE}/openai/v1", {"api-version": "preview"}),
    ],
)
def test_a_row_may_name_its_version(base_url, query):
    made = request(base_url, quirks=Quirks(query=query))
    assert made.url.endswith(f"/chat/completions?api-version={query['api-version']}")


def test_another_query_does_not_replace_the_version():
    made = request(quirks=Quirks(query={"tag": "a b"}))
    assert made.url.endswith(f"?api-version={API_VERSION_DEFAULT}&tag=a+b")


def test_a_deployment_cannot_leave_its_place_in_the_path():
    made = request(upstream_model="../x?y=1#z")
    assert "/deployments/..%2Fx%3Fy%3D1%23z/chat/completions?api-version=" in made.url


def test_what_it_carries():
    assert EMBEDDING in dialect.operations
    assert MODERATION not in dialect.operations


def test_what_azure_adds_passes():
    first, *_ = heard(dialect, [recording("azure/stream")]).chunks
    assert first["prompt_filter_results"][0]["content_filter_results"]["hate"]
    assert first["choices"] == []
    ChatCompletionChunk.model_validate(first)
    answer = json.loads(dialect.answer(chat(), recording("azure/answer")).body)
    assert answer["prompt_filter_results"]
    assert answer["choices"][0]["content_filter_results"]["violence"]["severity"] == "safe"


def test_a_prompt_that_is_filtered_is_the_callers_to_mend():
    error = dialect.error(400, {}, recording("azure/content_filter"))
    assert (error.status, error.code, error.param) == (400, "content_filter", "prompt")
    assert error.type == "invalid_request_error"
    assert error.is_callers_fault


def test_it_is_so_even_under_a_200():
    with pytest.raises(UpstreamRefused) as caught:
        dialect.answer(chat(), recording("azure/content_filter"))
    assert (caught.value.status, caught.value.code) == (400, "content_filter")


def test_any_other_error_under_a_200_is_not():
    with pytest.raises(UpstreamRefused) as caught:
        dialect.answer(chat(), b'{"error":{"code":"500","message":"x"}}')
    assert caught.value.status == 502


def test_a_deployment_that_is_missing_is_our_fault():
    error = dialect.error(404, {}, recording("azure/no_deployment"))
    assert error.status == 502
    assert "deployment" not in error.message


def test_the_wait_is_passed_on():
    headers = {"retry-after": "7", "retry-after-ms": "6500", "x-ratelimit-reset-tokens": "7"}
    error = dialect.error(429, headers, recording("azure/refusal"))
    assert error.status == 429
    assert error.headers == {"retry-after": "7", "retry-after-ms": "6500"}
