"""Azure OpenAI's addresses: a deployment in the path, or OpenAI's paths below /openai/v1.

Answers have the results of the filters beside OpenAI's fields, and a stream opens with a chunk that
has nothing else. Errors have Azure's shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import msgspec

from runestone.local.mock_provider import requests
from runestone.local.mock_provider.chat import answer
from runestone.local.mock_provider.completions import completions
from runestone.local.mock_provider.embeddings import embeddings
from runestone.local.mock_provider.errors import ProviderError
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import CHAT, CHOICE, CHUNK, REPLY, Event, Stream

Handler = Callable[[Exchange, Provider], Awaitable[None]]

V1 = "/openai/v1"
DEPLOYMENTS = "/openai/deployments/"
CATEGORIES = ("hate", "self_harm", "sexual", "violence")
SAFE: dict[str, Any] = {name: {"filtered": False, "severity": "safe"} for name in CATEGORIES}
PROMPT_SAFE = SAFE | {"jailbreak": {"detected": False, "filtered": False}}
CAUGHT = SAFE | {"violence": {"filtered": True, "severity": "medium"}}

RESULTS = b'"content_filter_results":' + msgspec.json.encode(SAFE)
PROMPT_RESULTS = b'"prompt_filter_results":' + msgspec.json.encode(
    [{"prompt_index": 0, "content_filter_results": PROMPT_SAFE}]
)
OPENING = b'{"choices":[],"created":0,"id":"","model":"","object":"",%s}' % PROMPT_RESULTS


class FilteredStream(Stream):
    """A stream that begins with what the filters say of the prompt."""

    def events(self) -> Iterator[Event]:
        """The opening, then OpenAI's."""
        yield Event(OPENING)
        yield from super().events()


WIRE = CHAT._replace(
    reply=REPLY[:-1] + b"," + PROMPT_RESULTS + b"}",
    choice=CHOICE[:-1] + b"," + RESULTS + b"}",
    chunk=CHUNK.replace(b'"logprobs":null', RESULTS + b',"logprobs":null'),
    stream=FilteredStream,
)


async def chat(exchange: Exchange, provider: Provider) -> None:
    """OpenAI's chat, with Azure's additions."""
    body = await exchange.body()
    request = requests.chat(body)
    path: str = exchange.scope["path"]
    if path.startswith(DEPLOYMENTS):
        request.model = path.removeprefix(DEPLOYMENTS).rpartition("/chat/")[0]
    await answer(exchange, provider, request, WIRE, body)


ENDPOINTS: dict[str, Handler] = {
    "/chat/completions": chat,
    "/completions": completions,
    "/embeddings": embeddings,
}


def handler(path: str) -> Handler | None:
    """Who answers at a path of Azure's; None if nobody does."""
    endpoint = next((end for end in ENDPOINTS if path.endswith(end)), None)
    if endpoint is None or not (path == V1 + endpoint or path.startswith(DEPLOYMENTS)):
        return None
    return _in_azures_way(ENDPOINTS[endpoint])


def _in_azures_way(handle: Handler) -> Handler:
    async def handled(exchange: Exchange, provider: Provider) -> None:
        exchange.marks = [(b"apim-request-id", exchange.number), (b"x-ms-region", b"Mock")]
        try:
            _check_version(exchange)
            await handle(exchange, provider)
        except ProviderError as error:
            error.error = _reworded(error)
            raise

    return handled


def _check_version(exchange: Exchange) -> None:
    query = parse_qs(exchange.scope["query_string"].decode("latin-1"))
    if exchange.scope["path"].startswith(DEPLOYMENTS) and "api-version" not in query:
        raise ProviderError(404, "Resource not found", code="404")


def _reworded(error: ProviderError) -> dict[str, Any]:
    told: dict[str, Any] = error.error
    if told["code"] != "content_filter":
        return {"code": told["code"] or str(error.status), "message": told["message"]}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": CAUGHT}
    return told | {"type": None, "param": "prompt", "status": error.status, "innererror": inner}
