"""A Messages request as the chat request that it stands for."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from api.messages.turns import chat_messages
from api.messages.wire import (
    AnyChoice,
    AutoChoice,
    CountTokensRequest,
    MessagesRequest,
    NoChoice,
    OutputConfig,
    ThinkingConfig,
    ThinkingEnabled,
    Tool,
    ToolByName,
    ToolChoice,
)
from api.requests import Call, decode, unparsable
from providers.wire import OWN_FIELDS, ModelCall, Operation
from runestone.lib.errors import BadRequest

MESSAGES = Operation("/messages", "chat", msgspec.json.Decoder(MessagesRequest), "choices")
COUNT_TOKENS = Operation(
    "/messages/count_tokens", "chat", msgspec.json.Decoder(CountTokensRequest), "choices"
)

# Up to so many tokens of thinking are so much effort; more is "high".
_EFFORTS = ((4_096, "low"), (16_384, "medium"))
_SCHEMA_NAME = "answer"

# What an upstream that speaks Anthropic's wire is told as it came. The rest is refused, or a
# matter of the gateway's, or nothing that we know.
_NATIVE_FIELDS = frozenset(
    {"cache_control", "max_tokens", "messages", "metadata", "output_config", "service_tier",
     "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice", "tools",
     "top_k", "top_p"}
)  # fmt: skip
_NULL = msgspec.Raw(b"null")

Fields = dict[str, Any]


def decoded(call: Call, operation: Operation) -> ModelCall:
    """The body, typed. Raises BadRequest, which names the field."""
    call.require_json()
    try:
        asked = decode(operation, _with_one_meaning(call.body))
    except BadRequest as error:
        if error.code is None:
            raise BadRequest("The request's body is not valid JSON.") from None
        raise
    refuse_what_cannot_be_done(asked.request)
    return asked


def _with_one_meaning(body: bytes) -> bytes:
    """Told anew, since it is passed on: a block that names its type twice could otherwise be
    checked and held for as one kind, and billed as another."""
    try:
        return msgspec.json.encode(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unparsable() from None


def chat_body(request: MessagesRequest, fields: Mapping[str, msgspec.Raw]) -> bytes:
    # Runestone's own fields mean the same on every wire.
    own = {name: fields[name] for name in OWN_FIELDS if name in fields}
    return msgspec.json.encode(own | chat_fields(request))


def native_fields(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The request in Anthropic's own words: what has been checked, and so can be priced."""
    return {
        name: value for name, value in fields.items() if name in _NATIVE_FIELDS and value != _NULL
    }


def chat_fields(request: MessagesRequest) -> Fields:
    fields: Fields = {
        "model": request.model,
        **prompt_fields(request),
        "max_completion_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": request.stop_sequences or None,
        "reasoning_effort": _effort(request.thinking, request.output_config),
        "safety_identifier": _user(request),
    }
    if request.service_tier == "standard_only":
        fields["service_tier"] = "default"
    if request.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return {name: value for name, value in fields.items() if value is not None}


def prompt_fields(request: CountTokensRequest) -> Fields:
    """What the model reads, and so what counts as input."""
    fields: Fields = {"messages": chat_messages(request.system, request.messages)}
    if request.tools:
        fields["tools"] = [_function(tool) for tool in request.tools]
    if request.tool_choice is not None:
        fields |= _choice(request.tool_choice, has_tools=bool(request.tools))
    if request.output_config is not None and request.output_config.format is not None:
        fields["response_format"] = _format(request.output_config.format.schema)
    return fields


def refuse_what_cannot_be_done(request: Any) -> None:
    """Raises BadRequest for what no chat provider can do, and a caller would miss."""
    for param, why in _impossible(request):
        raise BadRequest(
            f"{param}: not supported by this gateway: {why}.",
            param=param,
            code="unsupported_parameter",
        )


def _impossible(request: CountTokensRequest) -> Iterator[tuple[str, str]]:
    for number, tool in enumerate(request.tools or ()):
        if tool.type not in (None, "custom"):
            yield f"tools.{number}.type", f"'{tool.type}' is a tool of Anthropic's own servers"
        if tool.input_schema is None:
            yield f"tools.{number}.input_schema", "a tool needs one"
    if request.mcp_servers:
        yield "mcp_servers", "it calls no MCP servers"
    if not isinstance(request, MessagesRequest):
        return
    if request.container is not None:
        yield "container", "it runs no code"
    if request.speed not in (None, "standard"):
        yield "speed", "no price is known for it"
    if request.inference_geo is not None:
        yield "inference_geo", "where a provider works is not ours to promise"


def _function(tool: Tool) -> Fields:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": tool.strict,
    }
    given = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": given}


def _choice(choice: ToolChoice, *, has_tools: bool) -> Fields:
    match choice:
        case NoChoice():
            return {"tool_choice": "none"}
        case ToolByName(name):
            fields: Fields = {"tool_choice": {"type": "function", "function": {"name": name}}}
        case AnyChoice():
            fields = {"tool_choice": "required"}
        case AutoChoice():
            fields = {"tool_choice": "auto"}
    if choice.disable_parallel_tool_use and has_tools:
        fields["parallel_tool_calls"] = False
    return fields


def _effort(thinking: ThinkingConfig | None, output: OutputConfig | None) -> str | None:
    """None leaves it to the model, since many know no effort at all and refuse to hear of it."""
    if output is not None and output.effort is not None:
        return output.effort
    if not isinstance(thinking, ThinkingEnabled):
        return None
    return next((name for most, name in _EFFORTS if thinking.budget_tokens <= most), "high")


def _format(schema: Fields) -> Fields:
    # Anthropic promises that the answer has this form, so chat is asked to promise it too.
    return {
        "type": "json_schema",
        "json_schema": {"name": _SCHEMA_NAME, "schema": schema, "strict": True},
    }


def _user(request: MessagesRequest) -> str | None:
    """A provider has to tell users apart, not to know them; and chat's field is shorter."""
    user_id = request.metadata and request.metadata.user_id
    return hashlib.sha256(user_id.encode()).hexdigest() if user_id else None
