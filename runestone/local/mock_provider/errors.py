"""OpenAI's error object, and what each status says by default.

ProviderError                 an answer in OpenAI's error shape
HungUpError                        the client is gone; nobody is left to answer
BrokenOffError                     the scenario cut the connection; nothing more is to be sent
"""

from __future__ import annotations

from typing import Any

import msgspec

from runestone.local.mock_provider.scenarios import Scenario

Headers = list[tuple[bytes, bytes]]


class HungUpError(Exception):
    """The client closed the connection before the answer was whole."""


class BrokenOffError(Exception):
    """The scenario asked for a broken connection."""


class ProviderError(Exception):
    """An error that is answered to the client."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or []
        self.error: Any = {"message": message, "type": kind, "param": param, "code": code}

    @property
    def body(self) -> bytes:
        """The JSON body, as OpenAI words it, or as whoever changed `error` does."""
        return msgspec.json.encode({"error": self.error})


# status -> (type, code, message)
FACES: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The mock provider refuses this request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: mock."),
    403: ("request_forbidden", "unsupported_country_region_territory",
          "Country, region, or territory not supported"),
    404: ("invalid_request_error", "model_not_found",
          "The model `{model}` does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded",
          "Rate limit reached for {model} in organization org-mock on requests per min"
          " (RPM): Limit 3, Used 3, Requested 1. Please try again in {retry_after}s."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("service_unavailable", None, "The engine is currently overloaded."),
    529: ("overloaded_error", None, "Overloaded"),
}  # fmt: skip
OTHER_FACE = ("server_error", None, "The mock provider answers with this status.")
RETRIED = frozenset({429, 503, 529})


def asked_for(scenario: Scenario, model: str) -> ProviderError:
    """The error that a scenario names."""
    status = scenario.error or 500
    kind, code, message = FACES.get(status, OTHER_FACE)
    wait = 1 if scenario.retry_after is None else scenario.retry_after
    return ProviderError(
        status,
        scenario.message or message.format(model=model, retry_after=f"{wait:g}"),
        kind=scenario.type or kind,
        code=scenario.code or code,
        headers=_retry_headers(wait) if _says_when(scenario, status) else None,
    )


def _says_when(scenario: Scenario, status: int) -> bool:
    return status in RETRIED or scenario.retry_after is not None


def _retry_headers(wait: float) -> Headers:
    return [
        (b"retry-after", b"%d" % max(1, round(wait))),
        (b"retry-after-ms", b"%d" % round(wait * 1000)),
    ]


def mid_stream(scenario: Scenario) -> ProviderError:
    """What an error event inside a stream tells."""
    kind, code, message = FACES[500]
    return ProviderError(
        500, scenario.message or message, kind=scenario.type or kind, code=scenario.code or code
    )
