"""A request for a response in the words of a chat completion."""

from collections.abc import Iterable
from typing import Any

import msgspec

from api.responses.items import Item
from api.responses.messages import check_calls, messages
from api.responses.reading import Asked
from api.responses.request import (
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    JSONFormat,
    JSONSchemaFormat,
    ResponseRequest,
    Tool,
    ToolChoice,
)
from runestone.lib.errors import BadRequest

# Fields that are ours to act upon, or that are put into other words below. What else there is has
# the same name in chat, or is a vendor's own, and passes on as it came. `metadata` and `store`
# would have the provider keep the conversation.
_NOT_PASSED_ON = frozenset(ResponseRequest.__struct_fields__) - {
    "model",
    "temperature",
    "top_p",
    "service_tier",
    "user",
    "safety_identifier",
    "prompt_cache_key",
}


def chat_body(asked: Asked, context: Iterable[Item]) -> bytes:
    """`context` is the whole conversation, the request's own input last. Raises BadRequest."""
    request = asked.request
    passed_on = {name: raw for name, raw in asked.fields.items() if name not in _NOT_PASSED_ON}
    return msgspec.json.encode(
        {
            **passed_on,
            "messages": _messages(request, context),
            **_limits(request),
            **_tools(asked),
            **_form(request),
            **({"stream": True, "stream_options": _USAGE} if request.stream else {}),
        }
    )


_USAGE = {"include_usage": True}


def _messages(request: ResponseRequest, context: Iterable[Item]) -> list[dict[str, Any]]:
    conversation = list(context)
    check_calls(conversation)
    made = messages(conversation)
    # OpenAI's newer models take a `system` for a `developer`; the other vendors know only this.
    if request.instructions:
        made.insert(0, {"role": "system", "content": request.instructions})
    if not made:
        raise BadRequest(
            "Invalid 'input': it says nothing. Expected at least one message.",
            param="input",
            code="empty_array",
        )
    return made


def _limits(request: ResponseRequest) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if request.max_output_tokens is not None:
        made["max_completion_tokens"] = request.max_output_tokens
    if request.wants_logprobs:
        made["logprobs"] = True
    if request.top_logprobs:
        made["top_logprobs"] = request.top_logprobs
    return made


def _tools(asked: Asked) -> dict[str, Any]:
    # Without tools, providers refuse the words about them.
    if not asked.tools:
        return {}
    made: dict[str, Any] = {"tools": [_tool(tool) for tool in asked.tools]}
    if asked.tool_choice is not None:
        made["tool_choice"] = _choice(asked.tool_choice)
    if asked.request.parallel_tool_calls is not None:
        made["parallel_tool_calls"] = asked.request.parallel_tool_calls
    return made


def _tool(tool: Tool) -> dict[str, Any]:
    """Flat here, nested there."""
    kind = str(tool.__struct_config__.tag)
    flat = msgspec.to_builtins(tool)
    return {
        "type": kind,
        kind: {name: value for name, value in flat.items() if name != "type" and value is not None}
        if kind == "function"
        else _custom(flat),
    }


def _custom(flat: dict[str, Any]) -> dict[str, Any]:
    made = {name: value for name, value in flat.items() if name != "type"}
    form = made.get("format")
    if form and form.get("type") == "grammar":
        grammar = {name: value for name, value in form.items() if name != "type"}
        made["format"] = {"type": "grammar", "grammar": grammar}
    return made


def _choice(choice: ToolChoice) -> Any:
    if isinstance(choice, ChooseFunction):
        return {"type": "function", "function": {"name": choice.name}}
    if isinstance(choice, ChooseCustom):
        return {"type": "custom", "custom": {"name": choice.name}}
    if isinstance(choice, ChooseAllowed):
        tools = [msgspec.json.decode(raw, type=dict[str, Any]) for raw in choice.tools]
        named = [{"type": each["type"], each["type"]: {"name": each["name"]}} for each in tools]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
    return choice


def _form(request: ResponseRequest) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if request.reasoning is not None and request.reasoning.effort is not None:
        made["reasoning_effort"] = request.reasoning.effort
    text = request.text
    if text is not None and text.verbosity is not None:
        made["verbosity"] = text.verbosity
    if text is not None and isinstance(text.format, JSONFormat):
        made["response_format"] = {"type": "json_object"}
    if text is not None and isinstance(text.format, JSONSchemaFormat):
        flat = msgspec.to_builtins(text.format)
        schema = {name: value for name, value in flat.items() if name != "type"}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    return made
