"""OpenAI's wire as types: what a request may say, and the few parts of an answer that we read.

Decoding validates: a wrong type or an out-of-range number fails with its path. A field may be
null, which is the same as absent. Unknown fields are not listed here; they pass through.
Source: the field tables of OpenAI's published OpenAPI description (2026-08).
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

MESSAGES_MAX = 10_000

Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
PositiveInt = Annotated[int, Meta(ge=1)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
Choices = Annotated[int, Meta(ge=1, le=128)]


class Text(Struct, tag_field="type", tag="text"):
    text: str


class ImageUrl(Struct):
    url: str
    detail: str | None = None


class Image(Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class Audio(Struct, tag_field="type", tag="input_audio"):
    input_audio: dict[str, Any]


class File(Struct, tag_field="type", tag="file"):
    file: dict[str, Any]


class Refusal(Struct, tag_field="type", tag="refusal"):
    refusal: str


TextParts = Annotated[list[Text], Meta(min_length=1)]
UserParts = Annotated[list[Text | Image | Audio | File], Meta(min_length=1)]
AssistantParts = Annotated[list[Text | Refusal], Meta(min_length=1)]


class Developer(Struct, tag_field="role", tag="developer"):
    content: str | TextParts


class System(Struct, tag_field="role", tag="system"):
    content: str | TextParts


class User(Struct, tag_field="role", tag="user"):
    content: str | UserParts


class Assistant(Struct, tag_field="role", tag="assistant"):
    content: str | AssistantParts | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Tool(Struct, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str | TextParts


class Function(Struct, tag_field="role", tag="function"):
    name: str
    content: str | None


Message = Developer | System | User | Assistant | Tool | Function


class StreamOptions(Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Struct):
    """`POST /v1/chat/completions`: the fields that we check or act on."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)]
    model: str | None = None
    max_completion_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Choices | None = None
    stop: str | Annotated[list[str], Meta(min_length=1, max_length=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[int, Meta(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    seed: int | None = None
    user: str | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    web_search_options: dict[str, Any] | None = None
    modalities: list[str] | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None

    @property
    def wants_usage_chunk(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def output_tokens_asked(self) -> int | None:
        """The caller's own cap on one choice, reasoning included.

        An upstream obeys one of the two fields, and we cannot know which: the larger one counts.
        """
        if self.max_completion_tokens is None or self.max_tokens is None:
            return self.max_completion_tokens or self.max_tokens
        return max(self.max_completion_tokens, self.max_tokens)


class ChatCall(Struct, frozen=True):
    """A chat request as it came: typed for us, and field by field as raw JSON to pass on."""

    request: ChatRequest
    fields: dict[str, msgspec.Raw]
    # Of the whole body: an upper bound of the prompt's tokens, since a token is at least a byte.
    body_bytes: int


class PromptTokensDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionTokensDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class UsageFigures(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class Completion(Struct):
    """What we read of a `chat.completion`."""

    choices: list[msgspec.Raw] | None = None
    usage: UsageFigures | None = None
    error: Any = None


class ChunkChoice(Struct):
    index: int = 0
    finish_reason: str | None = None


class CompletionChunk(Struct):
    """What we read of a chunk that says more than some output."""

    choices: list[ChunkChoice] | None = None
    usage: UsageFigures | None = None
    error: Any = None
