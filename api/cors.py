"""Which web pages may call `/v1` from a browser, by the rules of the Fetch standard.

Off unless RUNESTONE_CORS_ORIGINS names origins. No cookie is ever asked for: a page needs a key.
"""

from collections.abc import Iterator, Mapping, Sequence

METHODS = "GET, POST, DELETE"
# How long a browser remembers a preflight's answer; none remembers it longer.
MAX_AGE_SECONDS = 7_200

_REQUEST_HEADERS = {
    "accept", "accept-language", "api-key", "authorization", "baggage", "content-encoding",
    "content-language", "content-type", "idempotency-key", "traceparent", "tracestate",
    "user-agent", "x-api-key", "x-client-request-id", "x-request-id", "x-title",
}  # fmt: skip
_REQUEST_HEADER_FAMILIES = ("anthropic-", "openai-", "x-runestone-", "x-stainless-")
_EXPOSED = ", ".join(
    (
        "x-request-id", "request-id", "openai-version", "openai-processing-ms",
        "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
        "retry-after", "retry-after-ms", "x-should-retry", "x-runestone-provider",
        "x-runestone-cache",
    )
)  # fmt: skip


class Cors:
    def __init__(self, origins: Sequence[str]) -> None:
        """`origins` are written as browsers do (`https://app.example.com`), or `*` for all."""
        self._origins = frozenset(origins)
        self._allows_all = "*" in origins

    def __bool__(self) -> bool:
        return bool(self._origins)

    @property
    def varies(self) -> bool:
        """Whether the answer depends on who asks, which caches must know."""
        return bool(self._origins) and not self._allows_all

    def allows(self, origin: str) -> bool:
        return self._allows_all or origin in self._origins

    def of_answer(self, origin: str) -> dict[str, str]:
        """For every answer to an allowed origin, errors too: else its page could not read them."""
        return {
            "access-control-allow-origin": "*" if self._allows_all else origin,
            "access-control-expose-headers": _EXPOSED,
        }

    def of_preflight(self, headers: Mapping[str, str]) -> dict[str, str]:
        asked = headers.get("access-control-request-headers", "")
        return {
            "access-control-allow-methods": METHODS,
            "access-control-allow-headers": ", ".join(_allowed(asked)),
            "access-control-max-age": str(MAX_AGE_SECONDS),
        }


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return (
        method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers
    )


def _allowed(asked: str) -> Iterator[str]:
    """A family of headers has no other form in the answer than the names that were asked for."""
    for each in asked.split(","):
        name = each.strip().lower()
        if name in _REQUEST_HEADERS or name.startswith(_REQUEST_HEADER_FAMILIES):
            yield name
