"""Anthropic's errors in the caller's eyes: `{"type": "error", "error": {"type", "message"}}`.

What is wrong with our account (a key, its credit) is no caller's fault, whatever status it has.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.refusals import refusal
from runestone.lib.errors import UpstreamError

# In a stream an error has a type, and no status.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_STATUS_UNKNOWN = 502
# Anthropic says it with a 400, as if the caller had erred.
_OUR_CREDIT = "credit balance is too low"
_CONTEXT_EXCEEDED = "prompt is too long"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """An answer whose status is not 200."""
    try:
        decoded = msgspec.json.decode(body)
    except _UNREADABLE:
        decoded = None
    return _refusal(status, headers, decoded.get("error") if isinstance(decoded, dict) else None)


def failure_of(error: Any) -> UpstreamError:
    """An error in mid-stream, or in an answer that has the status 200."""
    kind = error.get("type") if isinstance(error, dict) else None
    return _refusal(_STATUSES.get(str(kind), _STATUS_UNKNOWN), {}, error)


def _refusal(status: int, headers: Mapping[str, str], error: Any) -> UpstreamError:
    said = error.get("message") if isinstance(error, dict) else None
    message = said if isinstance(said, str) else ""
    # OpenAI's types are not Anthropic's, so those come from the status.
    detail: dict[str, Any] = {"message": message}
    if status == 400 and _OUR_CREDIT in message:
        status = _STATUSES["billing_error"]
    elif status == 400 and message.startswith(_CONTEXT_EXCEEDED):
        detail |= {"code": "context_length_exceeded", "param": "messages"}
    elif status == 413:
        detail |= {"code": "request_too_large"}
    return refusal(status, headers, detail)
