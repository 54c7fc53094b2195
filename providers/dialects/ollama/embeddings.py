"""Embeddings over `/api/embed`."""

import struct
from base64 import b64encode
from typing import Any, cast

import msgspec
from msgspec import Struct

from providers.dialects.base import Answer
from providers.dialects.ollama.answers import read_usage
from providers.dialects.refusals import refusal
from providers.dialects.unsupported import unsupported
from providers.wire import ModelCall
from providers.wire.others import EmbeddingRequest
from runestone.lib.errors import UpstreamBroken

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOT_EMBEDDINGS = "The provider's answer is not what was asked for."


class Embedded(Struct):
    model: str = ""
    embeddings: list[list[float]] | None = None
    prompt_eval_count: int | None = None
    error: Any = None


_embedded = msgspec.json.Decoder(Embedded)


def fields(call: ModelCall) -> dict[str, Any]:
    """The request's fields but for `model`. Raises BadRequest."""
    request = _asked(call)
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not all(isinstance(text, str) for text in texts):
        raise unsupported("input", "an input of token ids", "send the text")
    # A text that is too long is an error, as it is with OpenAI, and not silently cut short.
    given: dict[str, Any] = {"input": texts, "truncate": False}
    return given if request.dimensions is None else {**given, "dimensions": request.dimensions}


def answer(call: ModelCall, body: bytes) -> Answer:
    """Raises UpstreamBroken if `body` is not an embedding of each input."""
    request = _asked(call)
    try:
        embedded = _embedded.decode(body)
    except _UNREADABLE:
        raise UpstreamBroken(_NOT_EMBEDDINGS) from None
    if embedded.error:
        raise refusal(502, {}, embedded.error)
    vectors = embedded.embeddings or []
    if len(vectors) != request.prompts:
        raise UpstreamBroken(_NOT_EMBEDDINGS)
    as_asked = _in_base64 if request.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": as_asked(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = read_usage(embedded.prompt_eval_count)
    told: dict[str, Any] = {"object": "list", "data": data, "model": embedded.model}
    if usage is not None:
        told["usage"] = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return Answer(msgspec.json.encode(told), usage)


def _in_base64(vector: list[float]) -> str:
    """Of little-endian float32, as OpenAI's."""
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise UpstreamBroken(_NOT_EMBEDDINGS) from None


def _asked(call: ModelCall) -> EmbeddingRequest:
    return cast(EmbeddingRequest, call.request)
