"""`POST /v1/messages`: the request, checked as it is decoded.

A field may be null, which is the same as absent. What has no meaning for a chat provider
(`top_k`, `cache_control`, `citations`) is not listed, or listed and dropped. What would change
the answer if it were dropped is refused (`chat.refuse_what_cannot_be_done`).
Source: the types of Anthropic's SDK 2.11 (2026-11).
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from providers.wire import ModelRequest
from providers.wire.chat import MESSAGES_MAX, TOOLS_MAX
from providers.wire.kinds import FunctionName, JSONObject, PositiveInt, Probability

# As many as a chat provider takes.
STOP_SEQUENCES_MAX = 4
THINKING_TOKENS_MIN = 1_024

# Blocks of content, told apart by their type.


class Text(Struct, tag_field="type", tag="text"):
    text: str


class Base64Image(Struct, tag_field="type", tag="base64"):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class ImageByUrl(Struct, tag_field="type", tag="url"):
    url: str


class Image(Struct, tag_field="type", tag="image"):
    source: Base64Image | ImageByUrl


class Base64PDF(Struct, tag_field="type", tag="base64"):
    media_type: Literal["application/pdf"]
    data: str


class PlainText(Struct, tag_field="type", tag="text"):
    data: str


class ContentSource(Struct, tag_field="type", tag="content"):
    content: str | list[Text | Image]


class Document(Struct, tag_field="type", tag="document"):
    source: Base64PDF | PlainText | ContentSource
    title: str | None = None
    context: str | None = None


class SearchResult(Struct, tag_field="type", tag="search_result"):
    source: str
    title: str
    content: list[Text]


class ToolUse(Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: JSONObject


Shown = Text | Image | Document | SearchResult


class ToolResult(Struct, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[Shown] | None = None
    is_error: bool | None = None


class Thinking(Struct, tag_field="type", tag="thinking"):
    pass


class RedactedThinking(Struct, tag_field="type", tag="redacted_thinking"):
    pass


UserBlock = Shown | ToolResult
AssistantBlock = Text | ToolUse | Thinking | RedactedThinking

# Turns, told apart by their role.


class User(Struct, tag_field="role", tag="user"):
    content: str | list[UserBlock]


class Assistant(Struct, tag_field="role", tag="assistant"):
    content: str | list[AssistantBlock]


class System(Struct, tag_field="role", tag="system"):
    """In mid-conversation."""

    content: str | list[Text]


Turn = User | Assistant | System

# Tools, and how to choose among them.


class Tool(Struct, kw_only=True):
    # Server tools say theirs; it is checked with words of its own.
    type: str | None = None
    name: FunctionName
    description: str | None = None
    input_schema: JSONObject | None = None
    strict: bool | None = None


class AutoChoice(Struct, tag_field="type", tag="auto"):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Struct, tag_field="type", tag="any"):
    disable_parallel_tool_use: bool | None = None


class ToolByName(Struct, tag_field="type", tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(Struct, tag_field="type", tag="none"):
    pass


ToolChoice = AutoChoice | AnyChoice | ToolByName | NoChoice

# How hard to think, and the form of the answer.


class ThinkingEnabled(Struct, tag_field="type", tag="enabled"):
    budget_tokens: Annotated[int, Meta(ge=THINKING_TOKENS_MIN)]


class ThinkingAdaptive(Struct, tag_field="type", tag="adaptive"):
    pass


class ThinkingBetweenTools(Struct, tag_field="type", tag="between_tools"):
    pass


class ThinkingDisabled(Struct, tag_field="type", tag="disabled"):
    pass


ThinkingConfig = ThinkingEnabled | ThinkingAdaptive | ThinkingBetweenTools | ThinkingDisabled
Effort = Literal["low", "medium", "high", "xhigh", "max"]


class JSONSchemaFormat(Struct, tag_field="type", tag="json_schema"):
    schema: JSONObject


class OutputConfig(Struct):
    effort: Effort | None = None
    format: JSONSchemaFormat | None = None


class RequestMetadata(Struct):
    user_id: Annotated[str, Meta(max_length=512)] | None = None


class CountTokensRequest(ModelRequest, kw_only=True):
    """`POST /v1/messages/count_tokens`: what makes up the prompt."""

    model: str
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MESSAGES_MAX)]
    system: str | list[Text] | None = None
    tools: Annotated[list[Tool], Meta(max_length=TOOLS_MAX)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    mcp_servers: list[Any] | None = None


class MessagesRequest(CountTokensRequest, kw_only=True):
    max_tokens: PositiveInt
    stop_sequences: Annotated[list[str], Meta(max_length=STOP_SEQUENCES_MAX)] | None = None
    temperature: Probability | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stream: bool | None = None
    metadata: RequestMetadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    speed: str | None = None
    container: Any = None
    inference_geo: str | None = None

    @property
    def streams(self) -> bool:
        return bool(self.stream)
