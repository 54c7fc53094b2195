"""An upstream's error in the caller's eyes, whatever wire it came over."""

import re
from collections.abc import Mapping
from math import ceil
from typing import Any

import msgspec

from runestone.lib.errors import (
    GatewayError,
    Unavailable,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)

# An upstream's word on the caller's request, which the caller can act on.
_CALLERS_FAULT = {400, 409, 413, 415, 422}
# Headers of a refusal that help the caller to wait.
_PASSED_ON = ("retry-after", "retry-after-ms")
_MESSAGE_CHARACTERS_MAX = 2_000
_DELAY = re.compile(r"(\d{1,5}(?:\.\d{1,9})?)s")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def refusal_in(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """From a refusal's body, if it is one of the shapes that OpenAI's wire knows."""
    try:
        decoded = msgspec.json.decode(body)
    except _UNREADABLE:
        decoded = None
    return refusal(status, headers, _detail(decoded))


def refusal(status: int, headers: Mapping[str, str], detail: Any) -> UpstreamError:
    """An upstream's error in the caller's eyes.

    What the caller did wrong keeps its status and words. What is between us and the upstream (its
    credential, its quota, a route to a model that it does not have) is ours, and is a 502 or 503.
    """
    detail = detail if isinstance(detail, dict) else {"message": detail}
    said = str(detail.get("message") or "").strip()[:_MESSAGE_CHARACTERS_MAX]
    code = detail.get("code")
    # Some vendors (Azure) repeat the status there, which is no word for anybody.
    code = code if isinstance(code, str) and not code.isdigit() else None
    if status in _CALLERS_FAULT:
        return UpstreamRefused(
            said or "The provider refused the request.",
            status=status,
            type=str(detail.get("type") or "invalid_request_error"),
            param=detail["param"] if isinstance(detail.get("param"), str) else None,
            code=code,
        )
    if status == 429 and code != "insufficient_quota":
        return UpstreamRefused(
            said or "The provider's rate limit is reached.",
            status=429,
            type=str(detail.get("type") or "requests"),
            code=code or "rate_limit_exceeded",
            headers=_time_to_wait(headers, detail),
        )
    if status in (408, 504):
        return UpstreamTimeout("The provider took too long to answer.")
    if status in (429, 503, 529):
        # Our own quota at the provider is no caller's to wait for.
        wait = {} if status == 429 else _time_to_wait(headers, detail)
        return UpstreamRefused(
            "The provider cannot serve this call right now.",
            status=503,
            type=Unavailable.type,
            code="upstream_unavailable",
            headers=wait or Unavailable.headers,
            upstream_status=status,
        )
    return UpstreamRefused(
        f"The provider failed (HTTP {status}).",
        status=502,
        type=GatewayError.type,
        code="upstream_refused",
        upstream_status=status,
    )


def _detail(decoded: Any) -> Any:
    """Where an error's words are: under `error`; alone (older vLLM); or in a list (Gemini)."""
    if isinstance(decoded, list) and len(decoded) == 1:
        [decoded] = decoded
    if not isinstance(decoded, dict):
        return None
    return decoded.get("error", decoded if "message" in decoded else None)


def _time_to_wait(headers: Mapping[str, str], detail: dict[str, Any]) -> dict[str, str]:
    told = {
        name: headers[name] for name in _PASSED_ON if name in headers and headers[name].isascii()
    }
    return told or _delay_in(detail.get("details"))


def _delay_in(details: Any) -> dict[str, str]:
    """Google tells it in the body: `[{"@type": "…RetryInfo", "retryDelay": "34.4s"}]`."""
    for each in details if isinstance(details, list) else ():
        delay = each.get("retryDelay") if isinstance(each, dict) else None
        if isinstance(delay, str) and (found := _DELAY.fullmatch(delay)):
            return {"retry-after": str(ceil(float(found[1])))}
    return {}
