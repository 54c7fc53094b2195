"""Anthropic's Messages: chat requests translated, its own requests passed on, and back.

A call that came in Anthropic's words (`ModelCall.native`) goes to Anthropic in them, and its answer
comes back in them, so that nothing of it is lost on the way: cached prompts, signed thoughts,
citations. Any other call is translated from chat, and its answer to chat.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from providers.dialects.anthropic import answers
from providers.dialects.anthropic.errors import refusal_of
from providers.dialects.anthropic.requests import message_fields
from providers.dialects.anthropic.streams import ChatRelay, NativeRelay
from providers.dialects.anthropic.usage import read_usage
from providers.dialects.base import Answer, StreamRelay, Target, UpstreamRequest
from providers.dialects.quirks import fitted
from providers.tokens import OUTPUT_TOKENS_MAX_DEFAULT
from providers.wire import CHAT, ModelCall, Operation
from runestone.lib import sse
from runestone.lib.errors import UpstreamError

# The version whose wire this is; a quirk may name a later one.
VERSION = "2023-06-01"
PATH = "/messages"


class AnthropicDialect:
    name: ClassVar[str] = "anthropic"
    operations: ClassVar[frozenset[Operation]] = frozenset({CHAT})
    stream_type: ClassVar[str] = sse.MEDIA_TYPE
    request_id_header: ClassVar[str] = "request-id"
    names_output_cap: ClassVar[bool] = True

    def request(
        self, call: ModelCall, target: Target, *, output_tokens_max: int | None
    ) -> UpstreamRequest:
        max_tokens = _max_tokens(call.request.output_tokens_asked, output_tokens_max)
        if call.native is not None:
            fields: dict[str, Any] = dict(call.native)
        else:
            fields = message_fields(call, target.upstream_model, max_tokens)
        fields |= {"model": target.upstream_model, "max_tokens": max_tokens}
        if call.request.streams:
            fields["stream"] = True
        raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        body = msgspec.json.encode(fitted(raw, target.quirks))
        return UpstreamRequest(target.quirks.url(target.base_url + PATH), _headers(target), body)

    def answer(self, call: ModelCall, body: bytes) -> Answer:
        message = answers.read(body)
        if call.native is not None:
            return Answer(body, read_usage(message.usage))
        return answers.completion(message)

    def relay(self, call: ModelCall) -> StreamRelay:
        if call.native is not None:
            return NativeRelay()
        return ChatRelay(wants_usage_chunk=call.request.wants_usage_chunk)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return refusal_of(status, headers, body)


def _max_tokens(asked: int | None, held: int | None) -> int:
    """Anthropic needs to be told: what the caller asked for, but no more than money is held for."""
    bounds = [bound for bound in (asked, held) if bound is not None]
    return min(bounds, default=OUTPUT_TOKENS_MAX_DEFAULT)


def _headers(target: Target) -> dict[str, str]:
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    if target.credential:
        headers["x-api-key"] = target.credential
    return headers | {name.lower(): value for name, value in target.quirks.headers.items()}
