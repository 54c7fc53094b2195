"""The ASGI application: finds the route, checks the key, counts the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs

import msgspec

from runestone.local.mock_provider import anthropic, azure, models, ollama
from runestone.local.mock_provider.chat import chat
from runestone.local.mock_provider.completions import completions
from runestone.local.mock_provider.embeddings import embeddings
from runestone.local.mock_provider.errors import BrokenOffError, HungUpError, ProviderError
from runestone.local.mock_provider.exchange import Exchange, Receive, Send
from runestone.local.mock_provider.moderations import moderations
from runestone.local.mock_provider.provider import Provider

Handler = Callable[[Exchange, Provider], Awaitable[None]]
CALLS: dict[str, Handler] = {
    "/v1/chat/completions": chat,
    "/v1/completions": completions,
    "/v1/embeddings": embeddings,
    "/v1/moderations": moderations,
    anthropic.PATH: anthropic.messages,
    "/api/chat": ollama.chat,
    "/api/embed": ollama.embed,
}
KEY_HEADERS = (b"authorization", b"api-key", b"x-api-key")
TAGS = "/api/tags"
MODELS = "/v1/models"
NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization"
    " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)


class App:
    """`await App(provider)(scope, receive, send)`, as uvicorn calls it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.models = models.listing(provider.prices)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        handler = CALLS.get(scope["path"]) or azure.handler(scope["path"])
        if handler is not None and scope["method"] == "POST":
            await self._call(exchange, handler)
        else:
            await self._look(exchange, scope["method"], scope["path"])

    async def _call(self, exchange: Exchange, handler: Handler) -> None:
        """A call to a model: counted, whatever becomes of it."""
        calls = self.provider.calls
        calls.begin()
        try:
            await self._answered(exchange, handler)
            calls.finished += 1
        except HungUpError:
            calls.hung_up(exchange.header(b"x-runestone-attempt-id"), exchange.request_id)
        except BrokenOffError:
            calls.broken += 1
        finally:
            calls.in_flight -= 1

    async def _answered(self, exchange: Exchange, handler: Handler) -> None:
        try:
            self._check_key(exchange)
            await handler(exchange, self.provider)
        except ProviderError as error:
            is_anthropics = exchange.scope["path"] == anthropic.PATH
            await exchange.error(anthropic.faced(error, exchange) if is_anthropics else error)

    def _check_key(self, exchange: Exchange) -> None:
        expected = self.provider.api_key
        if expected is None:
            return
        given = next(filter(None, map(exchange.header, KEY_HEADERS)), "")
        given = given.removeprefix("Bearer ").strip()
        if not given:
            raise ProviderError(401, NO_KEY)
        if not compare_digest(given.encode(), expected.encode()):
            message = f"Incorrect API key provided: {given[:4]}****{given[-4:]}."
            raise ProviderError(401, message, code="invalid_api_key")

    async def _look(self, exchange: Exchange, method: str, path: str) -> None:
        """Everything that is not a call to a model, and costs nothing."""
        try:
            if path.startswith("/v1/"):
                self._check_key(exchange)
            await exchange.json(self._page(exchange, method, path))
        except ProviderError as error:
            await exchange.error(error)

    def _page(self, exchange: Exchange, method: str, path: str) -> bytes:
        if not (path in CALLS or path in ("/bill", "/calls", TAGS) or _is_models(path)):
            raise ProviderError(404, f"Invalid URL ({method} {path})")
        if method != "GET" or path in CALLS:
            raise _not_allowed(method, path)
        if path == "/calls":
            return self.provider.calls.report()
        if path == "/bill":
            return self._bill(exchange)
        if path == TAGS:
            return ollama.tags(self.provider.prices)
        return self.models if path == MODELS else models.one(self.provider.prices, path[11:])

    def _bill(self, exchange: Exchange) -> bytes:
        query = parse_qs(exchange.scope["query_string"].decode("latin-1"))
        return msgspec.json.encode(self.provider.bill.total(query.get("attempt", [None])[0]))


def _is_models(path: str) -> bool:
    return path == MODELS or path.startswith(MODELS + "/")


def _not_allowed(method: str, path: str) -> ProviderError:
    if path == "/bill":
        return ProviderError(405, "The bill is append-only.", code="method_not_supported")
    return ProviderError(405, f"Not allowed: {method} {path}", code="method_not_supported")
