"""The parts of OpenAI's requests that the mock reads. Unknown fields pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from runestone.local.mock_provider.errors import ProviderError

NULL = msgspec.Raw(b"null")
AtLeastOne = Annotated[int, Meta(ge=1)]
# A text, or the numbers of its tokens.
Text = str | list[int]
# What a client may give in a field that takes one or several of them; see texts().
Given = str | list[str | int | list[int]]


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
    service_tier: str | None = None
    # Kept raw: most calls never look into them.
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL


class CompletionsRequest(msgspec.Struct):
    """POST /v1/completions, the legacy one."""

    model: str
    prompt: Given | None = None
    suffix: str | None = None
    echo: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = 16
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    stop: str | list[str] | None = None


class EmbeddingsRequest(msgspec.Struct):
    """POST /v1/embeddings."""

    model: str
    input: Given
    encoding_format: str | None = None
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None


class ImageUrl(msgspec.Struct):
    """Where an image is."""

    url: str


class ModerationPart(msgspec.Struct):
    """A text or an image to judge."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None


class ModerationsRequest(msgspec.Struct):
    """POST /v1/moderations."""

    input: str | list[str | ModerationPart]
    model: str = "omni-moderation-latest"


Request = TypeVar("Request", ChatRequest, CompletionsRequest, EmbeddingsRequest, ModerationsRequest)
_chat = msgspec.json.Decoder(ChatRequest)
_completions = msgspec.json.Decoder(CompletionsRequest)
_embeddings = msgspec.json.Decoder(EmbeddingsRequest)
_moderations = msgspec.json.Decoder(ModerationsRequest)


def chat(body: bytes) -> ChatRequest:
    """Decode a chat request or refuse it as OpenAI does."""
    return _decode(_chat, body)


def completions(body: bytes) -> CompletionsRequest:
    """Decode a legacy completions request or refuse it as OpenAI does."""
    return _decode(_completions, body)


def embeddings(body: bytes) -> EmbeddingsRequest:
    """Decode an embeddings request or refuse it as OpenAI does."""
    return _decode(_embeddings, body)


def moderations(body: bytes) -> ModerationsRequest:
    """Decode a moderations request or refuse it as OpenAI does."""
    return _decode(_moderations, body)


def texts(given: Given) -> list[Text]:
    """One text, many texts, one list of tokens, or many lists of tokens."""
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [given]  # type: ignore[list-item]
    return given  # type: ignore[return-value]


def tokens(text: Text) -> int:
    """A token is a word; tokens that come as numbers are counted as they are."""
    return len(text.split() if isinstance(text, str) else text)


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
