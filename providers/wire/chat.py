"""`POST /v1/chat/completions`: the request, checked as OpenAI checks it.

Decoding validates: a wrong type or an out-of-range number fails with its path. A field may be
null, which is the same as absent. Unknown fields are not listed; they pass through. Rules between
fields are the provider's to check. Source: OpenAI's published OpenAPI description (2026-08).
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from providers.wire.kinds import (
    FunctionName,
    GeneratingRequest,
    Identifier,
    JSONObject,
    Metadata,
    PositiveInt,
    ServiceTier,
    TopLogprobs,
)
from runestone.lib.usage import STANDARD

MESSAGES_MAX = 10_000
TOOLS_MAX = 128

# Anthropic's extension: the prompt up to here is worth caching.
CacheControl = JSONObject | None

# Parts of a message.


class Text(Struct, tag_field="type", tag="text"):
    text: str
    cache_control: CacheControl = None


class ImageUrl(Struct):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class Image(Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl
    cache_control: CacheControl = None


class AudioData(Struct):
    data: str
    format: Literal["wav", "mp3"]


class Audio(Struct, tag_field="type", tag="input_audio"):
    input_audio: AudioData


class FileData(Struct):
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class File(Struct, tag_field="type", tag="file"):
    file: FileData
    cache_control: CacheControl = None


class Refusal(Struct, tag_field="type", tag="refusal"):
    refusal: str


TextParts = Annotated[list[Text], Meta(min_length=1)]
UserParts = Annotated[list[Text | Image | Audio | File], Meta(min_length=1)]
AssistantParts = Annotated[list[Text | Refusal], Meta(min_length=1)]

# Messages, told apart by their role.


class Developer(Struct, tag_field="role", tag="developer", kw_only=True):
    content: str | TextParts
    name: str | None = None
    cache_control: CacheControl = None


class System(Struct, tag_field="role", tag="system", kw_only=True):
    content: str | TextParts
    name: str | None = None
    cache_control: CacheControl = None


class User(Struct, tag_field="role", tag="user", kw_only=True):
    content: str | UserParts
    name: str | None = None
    cache_control: CacheControl = None


class CalledFunction(Struct):
    name: str
    # A JSON text by convention; models break it, and it passes as it is.
    arguments: str


class FunctionCall(Struct, tag_field="type", tag="function"):
    id: str
    function: CalledFunction


class CalledCustom(Struct):
    name: str
    input: str


class CustomCall(Struct, tag_field="type", tag="custom"):
    id: str
    custom: CalledCustom


class AudioReference(Struct):
    id: str


class Assistant(Struct, tag_field="role", tag="assistant", kw_only=True):
    content: str | AssistantParts | None = None
    refusal: str | None = None
    name: str | None = None
    audio: AudioReference | None = None
    tool_calls: list[FunctionCall | CustomCall] | None = None
    function_call: CalledFunction | None = None
    # OpenRouter's extension: what a model thought, as its maker signed it.
    reasoning_details: list[JSONObject] | None = None
    cache_control: CacheControl = None


class Tool(Struct, tag_field="role", tag="tool", kw_only=True):
    tool_call_id: str
    content: str | UserParts
    cache_control: CacheControl = None


class Function(Struct, tag_field="role", tag="function", kw_only=True):
    name: str
    content: str | None


Message = Developer | System | User | Assistant | Tool | Function

# Tools, and how to choose among them.


class FunctionSpec(Struct):
    name: FunctionName
    description: str | None = None
    parameters: JSONObject | None = None
    strict: bool | None = None


class FunctionTool(Struct, tag_field="type", tag="function"):
    function: FunctionSpec
    cache_control: CacheControl = None


class CustomSpec(Struct):
    name: FunctionName
    description: str | None = None
    format: JSONObject | None = None


class CustomTool(Struct, tag_field="type", tag="custom"):
    custom: CustomSpec


class Named(Struct):
    name: str


class ChooseFunction(Struct, tag_field="type", tag="function"):
    function: Named


class ChooseCustom(Struct, tag_field="type", tag="custom"):
    custom: Named


class AllowedTools(Struct):
    mode: Literal["auto", "required"]
    tools: list[JSONObject]


class ChooseAllowed(Struct, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | ChooseFunction | ChooseCustom | ChooseAllowed

# The form of the answer.


class TextFormat(Struct, tag_field="type", tag="text"):
    pass


class JSONFormat(Struct, tag_field="type", tag="json_object"):
    pass


class JSONSchema(Struct):
    name: FunctionName
    description: str | None = None
    schema: JSONObject | None = None
    strict: bool | None = None


class JSONSchemaFormat(Struct, tag_field="type", tag="json_schema"):
    json_schema: JSONSchema


class AudioOutput(Struct):
    voice: str | JSONObject
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class Prediction(Struct, tag_field="type", tag="content"):
    content: str | TextParts


class ChatRequest(GeneratingRequest, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)]
    max_completion_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    safety_identifier: Identifier | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: JSONObject | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    verbosity: Literal["low", "medium", "high"] | None = None
    response_format: TextFormat | JSONFormat | JSONSchemaFormat | None = None
    tools: Annotated[list[FunctionTool | CustomTool], Meta(max_length=TOOLS_MAX)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionSpec], Meta(min_length=1, max_length=TOOLS_MAX)] | None = None
    function_call: Literal["none", "auto"] | Named | None = None
    service_tier: ServiceTier | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioOutput | None = None
    prediction: Prediction | None = None
    moderation: JSONObject | None = None
    web_search_options: JSONObject | None = None

    @property
    def end_user(self) -> str | None:
        return self.safety_identifier or self.user

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def output_tokens_asked(self) -> int | None:
        # An upstream obeys one of the two, and we cannot know which: the larger one counts.
        if self.max_completion_tokens is None or self.max_tokens is None:
            return self.max_completion_tokens or self.max_tokens
        return max(self.max_completion_tokens, self.max_tokens)

    @property
    def has_tools(self) -> bool:
        return bool(self.tools or self.functions)

    @property
    def text_bytes(self) -> int:
        return sum(len(text.encode()) for text in self._texts())

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        parts = self._parts()
        asked = (
            (self.streams, "streaming", "stream"),
            (self.has_tools, "tools", "tools"),
            (isinstance(self.response_format, JSONSchemaFormat), "json_schema", "response_format"),
            (_has(parts, Image), "vision", "messages"),
            (_has(parts, File), "pdf", "messages"),
        )
        return tuple([(capability, param) for is_asked, capability, param in asked if is_asked])

    @property
    def refers_outside(self) -> bool:
        by_reference = _has(self._parts(), Image, Audio, File)
        return by_reference or self._refers_to_audio or self.web_searches > 0

    @property
    def service_tier_asked(self) -> str | None:
        match self.service_tier:
            case None | "auto":
                return None
            case "default":
                return STANDARD
            case named:
                return named

    @property
    def web_searches(self) -> int:
        # The models that take the option search once a call, whether it helps or not.
        return 0 if self.web_search_options is None else 1

    @property
    def may_be_audio(self) -> bool:
        asked = "audio" in (self.modalities or ()) or self._refers_to_audio
        return asked or _has(self._parts(), Audio)

    @property
    def leaves_traces(self) -> bool:
        # It keeps the conversation, to be looked at there.
        return bool(self.store)

    @property
    def _refers_to_audio(self) -> bool:
        """Whether an earlier answer's audio is part of the prompt."""
        return any(isinstance(each, Assistant) and each.audio is not None for each in self.messages)

    def _texts(self) -> Iterator[str]:
        for message in self.messages:
            content = message.content
            if isinstance(content, str):
                yield content
            elif isinstance(content, list):
                yield from (part.text for part in content if isinstance(part, Text))

    def _parts(self) -> list[Text | Image | Audio | File]:
        """Those of messages that can have more than text."""
        parts: list[Text | Image | Audio | File] = []
        for message in self.messages:
            if isinstance(message.content, list) and isinstance(message, _WITH_PARTS):
                parts += message.content
        return parts


_WITH_PARTS = (User, Tool)


def _has(parts: list[Text | Image | Audio | File], *kinds: type) -> bool:
    return bool(parts) and any(isinstance(part, kinds) for part in parts)
