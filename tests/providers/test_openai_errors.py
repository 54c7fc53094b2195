"""An upstream's refusal, in our caller's eyes."""

import json

import pytest

from providers.dialects.openai import OpenAIDialect
from runestone.lib.errors import UpstreamRefused, UpstreamTimeout
from tests.providers.calls import recording

dialect = OpenAIDialect()


def error(status, detail=None, headers=None, body=None):
    body = json.dumps({"error": detail}).encode() if body is None else body
    return dialect.error(status, headers or {}, body)


def test_it_works():
    seen = error(
        400,
        {
            "message": "Unsupported value: 'temperature'.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "unsupported_value",
        },
    )
    assert isinstance(seen, UpstreamRefused)
    assert seen.status == 400
    assert seen.body()["error"] == {
        "message": "Unsupported value: 'temperature'.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "unsupported_value",
    }


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_the_caller_did_wrong_keeps_its_status_and_words(status):
    seen = error(status, {"message": "Too long.", "code": "context_length_exceeded"})
    assert (seen.status, seen.type) == (status, "invalid_request_error")
    assert (seen.message, seen.code) == ("Too long.", "context_length_exceeded")
    assert not seen.billable


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 500, 501, 502, 520])
def test_what_is_between_us_and_the_upstream_is_not_the_callers(status):
    """Above all no 401: the caller would take its own key for wrong."""
    secret = "Incorrect API key provided: sk-upst****abcd, organization org-inside."
    seen = error(status, {"message": secret, "type": "invalid_request_error", "code": "x"})
    assert (seen.status, seen.code) == (502, "upstream_refused")
    assert "sk-upst" not in json.dumps(seen.body())
    assert "org-inside" not in json.dumps(seen.body())
    assert not seen.billable


def test_a_rate_limit_is_passed_on_with_the_time_to_wait():
    headers = {"retry-after": "2", "retry-after-ms": "1500", "set-cookie": "a=b"}
    seen = error(429, {"message": "Slow down.", "type": "tokens", "code": None}, headers)
    assert (seen.status, seen.type, seen.code) == (429, "tokens", "rate_limit_exceeded")
    assert seen.headers == {"retry-after": "2", "retry-after-ms": "1500"}
    assert not seen.billable


@pytest.mark.parametrize("value", ["\udcff", "soon\u2028", "é"])
def test_a_time_to_wait_that_no_header_can_carry_is_left_out(value):
    """A header may hold any bytes; ours must not fail for it."""
    seen = error(429, {"message": "Slow down."}, {"retry-after": value})
    assert seen.status == 429
    assert all(each.isascii() for each in seen.headers.values())


def test_our_own_quota_at_the_upstream_is_not_the_callers():
    detail = {"message": "You exceeded your quota.", "code": "insufficient_quota"}
    seen = error(429, detail, {"retry-after": "3600"})
    assert (seen.status, seen.code) == (503, "upstream_unavailable")
    assert seen.headers == {"retry-after": "1"}
    assert "quota" not in seen.message


@pytest.mark.parametrize("status", [503, 529])
def test_an_overloaded_upstream_is_unavailable(status):
    seen = error(status, {"message": "Overloaded", "type": "overloaded_error"})
    assert (seen.status, seen.type) == (503, "service_unavailable")
    assert not seen.billable


@pytest.mark.parametrize("status", [408, 504])
def test_a_gateways_timeout_may_have_been_billed(status):
    seen = error(status, {"message": "Timeout"})
    assert isinstance(seen, UpstreamTimeout)
    assert (seen.status, seen.billable) == (504, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>nginx</html>",
        b'{"error":null}',
        b'{"error":{}}',
        b'{"error":{"message":null,"type":null,"param":1,"code":400}}',
        b'{"error":[1,2]}',
        b'{"detail":"nope"}',
        b"\xff\xfe",
        b'{"error":{"message":"caf\xe9"}}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize(("status", "becomes"), [(400, 400), (429, 429), (500, 502), (401, 502)])
def test_any_body_gives_an_error_with_words(body, status, becomes):
    seen = error(status, body=body)
    assert seen.status == becomes
    shown = seen.body()["error"]
    assert shown["message"]
    assert isinstance(shown["type"], str)
    assert shown["param"] is None
    assert shown["code"] is None or isinstance(shown["code"], str)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"model requires more memory"}',
        b'{"object":"error","message":"model requires more memory","code":400}',
        b'[{"error":{"code":400,"message":"model requires more memory"}}]',
    ],
    ids=["text", "not nested", "in a list"],
)
def test_vendors_put_their_words_in_other_places(body):
    assert error(400, body=body).message == "model requires more memory"


def test_words_are_not_endless():
    assert len(error(400, {"message": "x" * 100_000}).message) <= 2_000


def test_google_tells_in_the_body_how_long_to_wait():
    seen = error(429, body=recording("gemini/refusal"))
    assert (seen.status, seen.headers) == (429, {"retry-after": "35"})


@pytest.mark.parametrize("details", [None, {}, [1], [{"retryDelay": 3}], [{"retryDelay": "1e9s"}]])
def test_a_wait_that_cannot_be_read_is_none(details):
    assert error(429, {"message": "Busy.", "details": details}).headers == {}


def test_older_vllm_tells_its_error_bare():
    seen = error(400, body=recording("vllm/refusal"))
    assert seen.message.startswith("This model's maximum context length")
    assert (seen.status, seen.code) == (400, None)
