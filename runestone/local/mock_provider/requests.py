"""The parts of OpenAI's requests that the mock reads. Unknown fields pass."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from runestone.local.mock_provider.errors import ProviderError

NULL = msgspec.Raw(b"null")
AtLeastOne = Annotated[int, Meta(ge=1)]


class Part(msgspec.Struct):
    """A piece of a message's content; only texts are read."""

    text: str | None = None


class Message(msgspec.Struct):
    """One message."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        if isinstance(self.content, str):
            return self.content
        return " ".join(part.text for part in self.content or () if part.text)


class StreamOptions(msgspec.Struct):
    """What a streaming client wants beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(msgspec.Struct):
    """POST /v1/chat/completions."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: AtLeastOne | None = None
    max_completion_tokens: AtLeastOne | None = None
    stop: str | list[str] | None = None
    # Kept raw: most calls never look into them.
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL


class EmbeddingsRequest(msgspec.Struct):
    """POST /v1/embeddings."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None


Request = TypeVar("Request", ChatRequest, EmbeddingsRequest)
_chat = msgspec.json.Decoder(ChatRequest)
_embeddings = msgspec.json.Decoder(EmbeddingsRequest)


def chat(body: bytes) -> ChatRequest:
    """Decode a chat request or refuse it as OpenAI does."""
    return _decode(_chat, body)


def embeddings(body: bytes) -> EmbeddingsRequest:
    """Decode an embeddings request or refuse it as OpenAI does."""
    return _decode(_embeddings, body)


def _decode(decoder: msgspec.json.Decoder[Request], body: bytes) -> Request:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as slip:
        raise _explain(str(slip)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProviderError(400, BAD_JSON) from None


BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't"
    " using your HTTP library correctly. The OpenAI API expects a JSON payload, but what"
    " was sent was not valid JSON.)"
)


def _explain(slip: str) -> ProviderError:
    """Turn msgspec's words into OpenAI's: what is wrong, and the path to it."""
    problem, _, path = slip.rstrip("`").partition(" - at `$")
    param = path.lstrip(".") or None
    if "missing required field" in problem:
        name = ".".join(filter(None, [param, problem.split("`")[1]]))
        return _refuse(f"Missing required parameter: '{name}'.", "missing_required_parameter", name)
    if "Expected `" in problem and ", got" in problem:
        return _refuse(f"Invalid type for '{param}': {problem}.", "invalid_type", param)
    return _refuse(f"Invalid '{param}': {problem}.", "invalid_value", param)


def _refuse(message: str, code: str, param: str | None) -> ProviderError:
    return ProviderError(400, message, code=code, param=param)


def decoded(raw: msgspec.Raw) -> Any:
    """Decode a field that was kept raw."""
    return msgspec.json.decode(raw)
