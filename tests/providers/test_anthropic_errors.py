"""Anthropic's refusals: what the caller did keeps its words, what is ours does not."""

import pytest

from providers.dialects.anthropic import AnthropicDialect
from runestone.lib.errors import UpstreamError
from tests.providers.test_anthropic_answers import recorded


@pytest.mark.parametrize(
    ("status", "name", "ours", "kind", "code"),
    [
        (400, "refusal_context", 400, "invalid_request_error", "context_length_exceeded"),
        (413, "refusal_size", 413, "invalid_request_error", "request_too_large"),
        (429, "refusal", 429, "requests", "rate_limit_exceeded"),
        (401, "refusal_key", 502, "server_error", "upstream_refused"),
        (402, "refusal_credit", 502, "server_error", "upstream_refused"),
        # Anthropic says that our account is empty as if the caller had erred.
        (400, "refusal_credit", 502, "server_error", "upstream_refused"),
        (403, "refusal_key", 502, "server_error", "upstream_refused"),
        (404, "refusal_model", 502, "server_error", "upstream_refused"),
        (500, "refusal", 502, "server_error", "upstream_refused"),
        (504, "refusal", 504, "upstream_error", "upstream_timeout"),
        (529, "refusal_overloaded", 503, "service_unavailable", "upstream_unavailable"),
    ],
)
def test_a_status_becomes_one_of_ours(status: int, name: str, ours: int, kind: str, code: str):
    error = AnthropicDialect().error(status, {}, recorded(name))
    assert (error.status, error.type, error.code) == (ours, kind, code)


def test_the_callers_fault_keeps_its_words():
    error = AnthropicDialect().error(400, {}, recorded("refusal_context"))
    assert (error.message, error.param) == (
        "prompt is too long: 210000 tokens > 200000 maximum",
        "messages",
    )


def test_ours_does_not():
    error = AnthropicDialect().error(400, {}, recorded("refusal_credit"))
    assert "credit" not in error.message
    assert isinstance(error, UpstreamError)
    assert not error.is_callers_fault


def test_how_long_to_wait_is_told():
    error = AnthropicDialect().error(429, {"retry-after": "17"}, recorded("refusal"))
    assert error.headers == {"retry-after": "17"}
