"""`POST /v1/responses`: what a request may say, with OpenAI's bounds.

Items, tools and the tool choice stay raw here: `reading` looks at their `type` first, for there are
many types that no chat provider can serve, and a caller should hear that in plain words.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from providers.wire.chat import MESSAGES_MAX, TOOLS_MAX
from providers.wire.kinds import (
    FunctionName,
    Identifier,
    JSONObject,
    Metadata,
    Probability,
    Temperature,
    TopLogprobs,
)

OUTPUT_TOKENS_MIN = 16


class TextFormat(Struct, tag_field="type", tag="text"):
    pass


class JSONFormat(Struct, tag_field="type", tag="json_object"):
    pass


class JSONSchemaFormat(Struct, tag_field="type", tag="json_schema", omit_defaults=True):
    name: FunctionName
    schema: JSONObject
    description: str | None = None
    strict: bool | None = None


class TextOptions(Struct):
    format: TextFormat | JSONFormat | JSONSchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    mode: Literal["standard", "pro"] | None = None


class StreamOptions(Struct):
    include_obfuscation: bool | None = None


Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


class ResponseRequest(Struct, kw_only=True):
    input: str | Annotated[list[Raw], Meta(max_length=MESSAGES_MAX)]
    model: str | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Raw], Meta(max_length=TOOLS_MAX)] | None = None
    tool_choice: Raw | UnsetType = UNSET
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: Annotated[int, Meta(ge=OUTPUT_TOKENS_MIN)] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_logprobs: TopLogprobs | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[Include] | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: Identifier | None = None
    prompt_cache_key: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    moderation: Any = None
    context_management: Any = None

    @property
    def is_padded(self) -> bool:
        """OpenAI pads the deltas of a stream unless it is told not to."""
        options = self.stream_options
        return options is None or options.include_obfuscation is not False

    @property
    def is_kept(self) -> bool:
        """OpenAI keeps a response unless it is told not to."""
        return self.store is not False

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.top_logprobs) or "message.output_text.logprobs" in (self.include or ())


# Tools, and how to choose among them.


class FunctionTool(Struct, tag_field="type", tag="function"):
    name: FunctionName
    parameters: JSONObject | None = None
    strict: bool | None = None
    description: str | None = None


class CustomTool(Struct, tag_field="type", tag="custom", omit_defaults=True):
    name: FunctionName
    description: str | None = None
    format: JSONObject | None = None


Tool = FunctionTool | CustomTool


class ChooseFunction(Struct, tag_field="type", tag="function"):
    name: str


class ChooseCustom(Struct, tag_field="type", tag="custom"):
    name: str


class ChooseAllowed(Struct, tag_field="type", tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: list[Raw]


Mode = Literal["none", "auto", "required"]
ToolChoice = Mode | ChooseFunction | ChooseCustom | ChooseAllowed
