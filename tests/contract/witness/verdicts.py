"""Which description judges which endpoint, and what it says of a reply.

OpenAI's endpoints are judged by its published schemas, `/v1/messages` by the models of Anthropic's
SDK, for Anthropic publishes no schemas. An endpoint that is not named here fails the run when it
answers: it has to be given its judge, or the reason why it has none.
"""

import base64
import re
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import anthropic.types
import msgspec
from anthropic.types import MessageTokensCount, RawMessageStreamEvent
from pydantic import TypeAdapter, ValidationError

from tests.contract.judge import complaint
from tests.contract.witness.record import Seen

COMPLAINT_CHARACTERS_MAX = 500

# Gives the place of a fault and what is wrong there, or None.
Judge = Callable[[Any], str | None]


def nobody(value: Any) -> None:
    """Judges what no vendor describes."""


def openai(name: str) -> Judge:
    return partial(complaint, openai=name)


def claude(kind: Any) -> Judge:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def judge(value: Any) -> str | None:
        try:
            adapter.validate_json(msgspec.json.encode(value), strict=True)
        except ValidationError as error:
            return _told(error)
        return None

    return judge


def _told(error: ValidationError) -> str:
    """Of a union, what is wrong for the kind that the value says it is."""
    faults = error.errors()
    others = {each["loc"][:-1] for each in faults if each["loc"][-1:] == ("type",)}
    fault = next((each for each in faults if each["loc"][:-1] not in others), faults[0])
    place = "".join(f".{name}" for name in fault["loc"])
    return f"${place}: {fault['msg']}"


_claude_event = claude(RawMessageStreamEvent)
_claude_error = claude(anthropic.types.ErrorResponse)


def messages_event(value: Any) -> str | None:
    # The SDK's models know no pings: it drops them before it reads on.
    return None if value == {"type": "ping"} else _claude_event(value)


def messages_error(value: Any) -> str | None:
    # Nor this type, which Anthropic's documentation has for status 413.
    if value["error"]["type"] == "request_too_large":
        value = value | {"error": value["error"] | {"type": "invalid_request_error"}}
    return _claude_error(value)


_NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def completion_chunk(value: Any) -> str | None:
    """OpenAI describes none; it has the form of an answer that has not ended yet."""
    ended = [
        each | {"finish_reason": each.get("finish_reason") or "stop"} for each in value["choices"]
    ]
    whole = value | {"choices": ended, "usage": value.get("usage") or _NO_USAGE}
    return complaint(whole, "CreateCompletionResponse")


def embeddings(value: Any) -> str | None:
    """Base64 is what SDKs ask for and the schemas leave out: it stands for these floats."""
    data = [each | {"embedding": _floats(each.get("embedding"))} for each in value["data"]]
    return complaint(value | {"data": data}, "CreateEmbeddingResponse")


def _floats(embedding: Any) -> Any:
    if not isinstance(embedding, str):
        return embedding
    packed = base64.b64decode(embedding, validate=True)
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))


class Endpoint(NamedTuple):
    method: str
    path: str
    whole: Judge = nobody
    event: Judge = nobody


ENDPOINTS = (
    Endpoint(
        *("POST", "/v1/chat/(?:completions|stream)"),
        openai("CreateChatCompletionResponse"),
        openai("CreateChatCompletionStreamResponse"),
    ),
    Endpoint("POST", "/v1/completions", openai("CreateCompletionResponse"), completion_chunk),
    Endpoint("POST", "/v1/embeddings", embeddings),
    Endpoint("POST", "/v1/moderations", openai("CreateModerationResponse")),
    Endpoint("GET", "/v1/models", openai("ListModelsResponse")),
    Endpoint("GET", "/v1/models/.+", openai("Model")),
    Endpoint("POST", "/v1/responses", openai("Response"), openai("ResponseStreamEvent")),
    Endpoint("GET", "/v1/responses/[^/]+", openai("Response")),
    # OpenAI describes no body, and its SDKs read none.
    Endpoint("DELETE", "/v1/responses/[^/]+", nobody),
    Endpoint("GET", "/v1/responses/[^/]+/input_items", openai("ResponseItemList")),
    Endpoint("POST", "/v1/messages", claude(anthropic.types.Message), messages_event),
    Endpoint("POST", "/v1/messages/count_tokens", claude(MessageTokensCount)),
)
_openai_error = openai("ErrorResponse")


def complaints(replies: Iterable[Seen]) -> list[str]:
    """Each with the endpoint, the place in the reply, and the test."""
    found = ((each, verdict(each)) for each in replies)
    return [
        f"{seen.method} {seen.path} ({seen.status}) {wrong[:COMPLAINT_CHARACTERS_MAX]}\n"
        f"    in {seen.test}"
        for seen, wrong in found
        if wrong is not None
    ]


def verdict(seen: Seen) -> str | None:
    """What is wrong with a reply, beginning with the place; None if it is as described."""
    if seen.fault:
        return seen.fault
    try:
        return _judge_of(seen)(seen.value)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return f"$: it has not even the outline: {error!r}"


def _judge_of(seen: Seen) -> Judge:
    speaks_anthropic = seen.path.startswith("/v1/messages")
    if seen.status >= 400 or _is_error_event(seen):
        return messages_error if speaks_anthropic else _openai_error
    method = "GET" if seen.method == "HEAD" else seen.method
    for endpoint in ENDPOINTS:
        if endpoint.method == method and re.fullmatch(endpoint.path, seen.path.rstrip("/")):
            return endpoint.event if seen.is_event else endpoint.whole
    return lambda value: "$: no judge is named for this endpoint, in witness/verdicts.py"


def _is_error_event(seen: Seen) -> bool:
    """Those of the Responses API are events like others."""
    return (
        seen.is_event
        and not seen.path.startswith("/v1/responses")
        and bool(seen.value.get("error"))
    )
