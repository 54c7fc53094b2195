"""What the endpoint refuses, and how it says so."""

from typing import Any

import openai
import pytest

from tests.api.responses.test_create import LOOKUP, MODEL
from tests.cast import Account
from tests.conftest import Scenario


def refused(client: openai.OpenAI, **fields: Any) -> openai.BadRequestError:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post(
            "/responses", body={"model": MODEL, "input": "Hi", **fields}, cast_to=dict[str, Any]
        )
    assert caught.value.type == "invalid_request_error"
    return caught.value


def said(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "x"}, {"role": "user", "content": [part]}]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": 5}, "input", "invalid_type"),
        ({"input": None}, "input", "invalid_type"),
        ({"input": []}, "input", "empty_array"),
        ({"input": ["x"]}, "input[0]", "invalid_type"),
        ({"input": [{"role": "wizard", "content": ""}]}, "input[0].role", "invalid_value"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [{"content": "x"}]}, "input[0].role", "missing_required_parameter"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
         "input[0].call_id", "missing_required_parameter"),
        ({"input": said({"type": "input_text"})},
         "input[1].content[0].text", "missing_required_parameter"),
        ({"input": said({"type": "input_smell"})}, "input[1].content[0].type", "invalid_value"),
        ({"input": said({"type": "input_image", "detail": "low"})},
         "input[1].content[0].image_url", "missing_required_parameter"),
        ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
        ({"max_output_tokens": "many"}, "max_output_tokens", "invalid_type"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [LOOKUP, {"name": "f"}]}, "tools[1].type", "missing_required_parameter"),
        ({"tools": [LOOKUP | {"parameters": 5}]}, "tools[0].parameters", "invalid_type"),
        ({"tool_choice": "maybe", "tools": [LOOKUP]}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function"}, "tools": [LOOKUP]},
         "tool_choice.name", "missing_required_parameter"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}},
         "text.format.schema", "missing_required_parameter"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type", "invalid_value"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value"),
        ({"include": ["everything"]}, "include[0]", "invalid_value"),
        ({"store": "yes"}, "store", "invalid_type"),
        ({"metadata": {"a": 5}}, "metadata", "invalid_type"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(
    fields: dict[str, Any], param: str, code: str, client: openai.OpenAI
):
    error = refused(client, **fields)
    assert (error.param, error.code) == (param, code), error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [LOOKUP, {"type": "file_search", "vector_store_ids": []}]}, "tools[1].type"),
        ({"tools": [{"type": "code_interpreter", "container": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "image_generation"}]}, "tools[0].type"),
        ({"tools": [{"type": "shell"}]}, "tools[0].type"),
        ({"tools": [LOOKUP], "tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
        ({"input": [{"type": "computer_call_output", "call_id": "x"}]}, "input[0].type"),
        ({"input": said({"type": "input_image", "file_id": "file-1"})},
         "input[1].content[0].file_id"),
        ({"input": said({"type": "input_file", "file_url": "https://example.org/a.pdf"})},
         "input[1].content[0].file_url"),
        ({"messages": []}, "messages"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"max_tokens": 50}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ],
)  # fmt: skip
def test_what_no_chat_provider_can_do_is_said(
    fields: dict[str, Any], param: str, client: openai.OpenAI
):
    error = refused(client, **fields)
    assert (error.param, error.code) == (param, "unsupported_parameter"), error.message


def test_the_input_is_needed(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/responses", body={"model": MODEL}, cast_to=dict[str, Any])
    assert (caught.value.param, caught.value.code) == ("input", "missing_required_parameter")


def test_an_unknown_model(client: openai.OpenAI, acme: Account):
    error = refused(client, model="no-such-model")
    assert (error.param, error.code) == ("model", "model_not_found")
    assert error.message.endswith("The requested model 'no-such-model' does not exist.")
    acme.lines(0)


def test_a_body_that_is_not_json(client: openai.OpenAI):
    for content, kind in ((b"{", "application/json"), (b"{}", "text/plain")):
        with pytest.raises(openai.APIStatusError) as caught:
            client.post(
                "/responses",
                content=content,
                cast_to=dict[str, Any],
                options={"headers": {"content-type": kind}},
            )
        assert caught.value.status_code == (400 if kind == "application/json" else 415)


def test_a_providers_complaint_keeps_its_words(client: openai.OpenAI, scenario: Scenario):
    model = scenario("error=400;message=Too clever by half;code=context_length_exceeded")
    error = refused(client, model=model)
    assert error.code == "context_length_exceeded"
    assert "Too clever by half" in error.message


def test_other_methods_and_places(client: openai.OpenAI):
    with pytest.raises(openai.APIStatusError) as caught:
        client.get("/responses", cast_to=dict[str, Any])
    assert caught.value.status_code == 405
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel("resp_" + "0" * 32)
    with pytest.raises(openai.NotFoundError):
        client.post("/responses/input_tokens", body={"input": "x"}, cast_to=dict[str, Any])
