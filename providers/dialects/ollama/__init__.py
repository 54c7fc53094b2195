"""Ollama's own wire: `/api/chat`, a stream of which is a JSON object a line, and `/api/embed`.

Ollama also speaks OpenAI's wire below `/v1`, where much is lost: images by data, thinking, the
options of a model. Source: Ollama's API reference (2026-11) and recordings.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from providers.dialects.base import Answer, Target, UpstreamRequest
from providers.dialects.ollama import answers, embeddings
from providers.dialects.ollama.requests import chat_fields
from providers.dialects.ollama.streams import ChatRelay
from providers.dialects.quirks import fitted
from providers.dialects.refusals import refusal_in
from providers.wire import CHAT, EMBEDDING, ModelCall, Operation
from runestone.lib.errors import UpstreamError


class OllamaDialect:
    name: ClassVar[str] = "ollama"
    operations: ClassVar[frozenset[Operation]] = frozenset({CHAT, EMBEDDING})
    stream_type: ClassVar[str] = "application/x-ndjson"
    # Ollama itself gives none; a proxy before it may.
    request_id_header: ClassVar[str] = "x-request-id"
    names_output_cap: ClassVar[bool] = False

    def request(
        self, call: ModelCall, target: Target, *, output_tokens_max: int | None
    ) -> UpstreamRequest:
        if call.operation is EMBEDDING:
            path, fields = "/api/embed", embeddings.fields(call)
        else:
            path, fields = "/api/chat", chat_fields(call, output_tokens_max)
        fields["model"] = target.upstream_model
        raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        body = msgspec.json.encode(fitted(raw, target.quirks))
        return UpstreamRequest(target.quirks.url(target.base_url + path), _headers(target), body)

    def answer(self, call: ModelCall, body: bytes) -> Answer:
        if call.operation is EMBEDDING:
            return embeddings.answer(call, body)
        return answers.completion(body)

    def relay(self, call: ModelCall) -> ChatRelay:
        return ChatRelay(wants_usage_chunk=call.request.wants_usage_chunk)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return refusal_in(status, headers, body)


def _headers(target: Target) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if target.credential:
        headers["authorization"] = f"Bearer {target.credential}"
    return headers | target.quirks.headers
