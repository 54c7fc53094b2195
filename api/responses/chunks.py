"""The parts of a chat answer, whole or in chunks, that a response is made of.

Decoding is lenient: what a vendor adds or bends must not lose an answer that is paid for.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from providers.wire import UsageFigures
from runestone.lib.errors import UpstreamBroken


class Called(Struct):
    name: str | None = None
    arguments: Any = None
    input: Any = None


class ToolDelta(Struct):
    index: int | None = None
    id: str | None = None
    function: Called | None = None
    custom: Called | None = None


class Delta(Struct):
    """A piece of a message; or all of it, in an answer that is not streamed."""

    content: Any = None
    refusal: str | None = None
    # Vendors have two names for the same.
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[ToolDelta] | None = None
    annotations: list[Any] | None = None

    def thoughts(self) -> str:
        plain = self.reasoning_content or (
            self.reasoning if isinstance(self.reasoning, str) else ""
        )
        return plain + "".join(_texts(self.content, "thinking"))

    def words(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(_texts(self.content, "text"))


def _texts(parts: Any, kind: str) -> Iterator[str]:
    """Mistral's reasoning models answer with parts: `thinking` holds more parts, `text` a text."""
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") == kind:
            inner = part.get(kind)
            yield "".join(_texts(inner, "text")) if isinstance(inner, list) else str(inner or "")


class Choice(Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None

    def chances(self) -> list[Any]:
        """The logprobs of the words; vendors have other shapes, which are left out."""
        found = self.logprobs.get("content") if isinstance(self.logprobs, dict) else None
        return found if isinstance(found, list) else []


class Chunk(Struct):
    """A chunk of a stream, or a whole answer."""

    model: str | None = None
    choices: list[Choice] | None = None
    usage: UsageFigures | None = None
    service_tier: str | None = None
    # Runestone's own fields, which the pipeline adds.
    provider: str | None = None
    routing_policy: str | None = None
    request_id: str | None = None


_decoder = msgspec.json.Decoder(Chunk)


def decoded(data: bytes) -> Chunk:
    """Raises UpstreamBroken."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamBroken("The provider's answer is not one that we can read.") from None
