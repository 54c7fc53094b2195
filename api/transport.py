"""What is around every call, before its body is read: HTTPS, CORS, and whom it comes from.

None of it costs a plain call more than some look-ups: what is off is not asked about.
"""

import re
from typing import NamedTuple

from django.conf import settings

from api import cors
from api.cors import Cors
from api.requests import INFERENCE, MODELS, USAGE, Call, Scope
from runestone.lib.errors import BadRequest, Forbidden

_API = ("/v1", "/api/v1")
# Everything else is inference.
_SCOPES = {"/v1/models": MODELS, "/api/v1": USAGE}
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


class Early(NamedTuple):
    """An answer without a body, for a call that goes no further."""

    status: int
    headers: dict[str, str]


class Transport:
    def __init__(self, *, origins: list[str], redirects_to_https: bool, hsts_seconds: int) -> None:
        self._cors = Cors(origins)
        self._redirects = redirects_to_https
        vary = "accept-encoding, origin" if self._cors.varies else "accept-encoding"
        self._plain = {"vary": vary}
        self._secure = dict(self._plain)
        if hsts_seconds:
            self._secure["strict-transport-security"] = f"max-age={hsts_seconds}"

    def receive(self, scope: Scope, call: Call) -> Early | None:
        """Fills in what `call` must know of its way here; the answer, if it ends here.

        Raises Forbidden or BadRequest.
        """
        path, client = scope["path"], scope.get("client")
        is_secure = scope.get("scheme") == "https"
        call.address = client[0] if client else ""
        call.scope_needed = _scope_of(path)
        call.answer_headers = self._secure if is_secure else self._plain
        if self._redirects and not is_secure and path.startswith(_API):
            return Early(308, {"location": _secure_url(scope, call)})
        if self._cors and path.startswith(_API) and "origin" in call.headers:
            preflight = self._receive_page(scope["method"], call)
            if preflight is not None:
                return preflight
        return None

    def _receive_page(self, method: str, call: Call) -> Early | None:
        """A call from a web page. One of another origin is served, but its page cannot read it."""
        origin, asks = call.headers["origin"], cors.is_preflight(method, call.headers)
        if self._cors.allows(origin):
            call.answer_headers = {**call.answer_headers, **self._cors.of_answer(origin)}
            return Early(204, self._cors.of_preflight(call.headers)) if asks else None
        if asks:
            raise Forbidden(
                "Web pages of this origin may not call here.", code="origin_not_allowed"
            )
        return None


def _scope_of(path: str) -> str:
    return next((scope for start, scope in _SCOPES.items() if path.startswith(start)), INFERENCE)


def _secure_url(scope: Scope, call: Call) -> str:
    """The same URL by https. The method and the body stay: 308 says so."""
    host = call.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise BadRequest("The request has no valid Host header.")
    path = scope.get("raw_path") or scope["path"].encode()
    query = b"?" + scope["query_string"] if scope.get("query_string") else b""
    return f"https://{host}{(path.partition(b'?')[0] + query).decode('latin-1')}"


transport = Transport(
    origins=settings.RUNESTONE_CORS_ORIGINS,
    redirects_to_https=settings.RUNESTONE_HTTPS_REDIRECT,
    hsts_seconds=settings.RUNESTONE_HSTS_SECONDS,
)
