"""Anthropic's messages as chat completions, and as they are for those who asked in its words."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion

from providers.dialects.anthropic import AnthropicDialect
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.lib.usage import Usage
from tests.providers.calls import RECORDINGS, chat


def recorded(name: str) -> bytes:
    return (RECORDINGS / "anthropic" / name).read_bytes()


def answered(name: str) -> tuple[ChatCompletion, dict[str, Any], Usage | None]:
    """As the SDK reads it, as it is on the wire, and what the ledger hears."""
    answer = AnthropicDialect().answer(chat(), recorded(name))
    return ChatCompletion.model_validate_json(answer.body), json.loads(answer.body), answer.usage


def test_it_works():
    completion, body, usage = answered("answer")
    assert (completion.object, completion.id, completion.model) == (
        "chat.completion",
        "msg_1",
        "claude-haiku-4-5",
    )
    assert completion.choices[0].message.content == "Hello there"
    assert body["choices"][0]["message"].keys() == {"role", "content", "refusal", "annotations"}
    assert usage == Usage(input_tokens=9, output_tokens=2)


def test_tools():
    completion, _, _ = answered("answer_tools")
    [choice] = completion.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    calls = [(call.id, call.function.name, call.function.arguments) for call in _calls(choice)]
    assert calls == [
        ("toolu_01", "get_weather", '{"city":"Łódź","days":2}'),
        ("toolu_02", "get_time", "{}"),
    ]


def _calls(choice: Any) -> Any:
    return choice.message.tool_calls


def test_thoughts_ride_beside():
    _, body, usage = answered("answer_thinking")
    message = body["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (
        "Hello there",
        "The user greets me.",
    )
    kept = {"format": "anthropic-claude-v1"}
    assert message["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "The user greets me.",
            "signature": "ErUBCkYIARgCIkDm+/==",
            "index": 0,
            **kept,
        },
        {"type": "reasoning.encrypted", "data": "EvgFCkYIBxgCKkBmxKtC", "index": 1, **kept},
    ]
    assert usage is not None
    assert (usage.output_tokens, usage.reasoning_tokens) == (30, 25)
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 25}


def test_the_stop_sequence_is_named():
    _, body, _ = answered("answer_stop_sequence")
    [choice] = body["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "Paris")


def test_a_refusal():
    completion, _, _ = answered("answer_refusal")
    [choice] = completion.choices
    assert choice.finish_reason == "content_filter"
    assert (choice.message.content, choice.message.refusal) == (None, "This cannot be answered.")


def test_blocks_of_unknown_kinds_are_passed_over():
    completion, _, _ = answered("answer_unknown_block")
    assert completion.choices[0].message.content == "Hello there"


def test_the_input_includes_what_was_cached():
    _, body, usage = answered("answer_cached")
    assert usage == Usage(
        input_tokens=1_308,
        cached_input_tokens=1_000,
        cache_write_tokens=300,
        cache_write_1h_tokens=200,
        output_tokens=2,
        web_searches=3,
        service_tier="priority",
    )
    assert body["service_tier"] == "priority"
    assert body["usage"]["prompt_tokens"] == 1_308
    assert body["usage"]["total_tokens"] == 1_310
    assert body["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 1_000,
        "cache_write_tokens": 300,
        "cache_write_1h_tokens": 200,
    }


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
def test_the_reason_to_stop(reason: str, ours: str):
    body = recorded("answer").replace(b'"end_turn"', json.dumps(reason).encode())
    answer = json.loads(AnthropicDialect().answer(chat(), body).body)
    assert answer["choices"][0]["finish_reason"] == ours


@pytest.mark.parametrize(
    "figures",
    [
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 10**12},
        {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 2}},
        {"output_tokens": 1},
        None,
    ],
)
def test_figures_that_cannot_be_true_are_none(figures: dict[str, Any] | None):
    body = json.loads(recorded("answer")) | {"usage": figures}
    answer = AnthropicDialect().answer(chat(), json.dumps(body).encode())
    assert answer.usage is None
    assert "usage" not in json.loads(answer.body)


def test_an_error_under_a_200_is_one():
    with pytest.raises(UpstreamError) as caught:
        AnthropicDialect().answer(chat(), recorded("refusal_overloaded"))
    assert caught.value.status == 503


def test_what_is_no_message_is_refused():
    with pytest.raises(UpstreamBroken):
        AnthropicDialect().answer(chat(), b'{"type":"completion","completion":"Hello"}')


@pytest.mark.parametrize("name", ["answer_thinking", "answer_cached", "answer_unknown_block"])
def test_who_asked_in_its_words_is_answered_in_them(name: str):
    call = msgspec.structs.replace(chat(), native={})
    answer = AnthropicDialect().answer(call, recorded(name))
    assert answer.body == recorded(name)
    assert answer.usage == AnthropicDialect().answer(chat(), recorded(name)).usage
