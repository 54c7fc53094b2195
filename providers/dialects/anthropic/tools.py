"""Tools, and how to choose among them, in Anthropic's words."""

from typing import Any

from providers.dialects.unsupported import unsupported
from providers.wire import ChatRequest
from providers.wire.chat import (
    AllowedTools,
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    CustomTool,
    FunctionTool,
    ToolChoice,
)

Fields = dict[str, Any]

_NO_PARAMETERS: Fields = {"type": "object", "properties": {}}
_MODES = {"none": "none", "auto": "auto", "required": "any"}


def tool_fields(request: ChatRequest) -> Fields:
    """`tools` and `tool_choice`; without tools there is no choice. Raises BadRequest."""
    if not request.tools:
        return {}
    tools = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(request.tools)]
    asked = request.tool_choice
    if isinstance(asked, ChooseAllowed):
        allowed = _names(asked.allowed_tools)
        tools = [tool for tool in tools if tool["name"] in allowed]
    choice = None if asked is None else _choice(asked)
    if request.parallel_tool_calls is False and choice != {"type": "none"}:
        choice = (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return {"tools": tools, "tool_choice": choice}


def _tool(tool: FunctionTool | CustomTool, path: str) -> Fields:
    if isinstance(tool, CustomTool):
        raise unsupported(f"{path}.type", "a custom tool", "describe it as a function")
    function = tool.function
    fields = {
        "name": function.name,
        "description": function.description,
        "input_schema": _schema(function.parameters),
        "strict": function.strict or None,
        "cache_control": tool.cache_control,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _schema(parameters: Fields | None) -> Fields:
    return {"type": "object", **parameters} if parameters else _NO_PARAMETERS


def _choice(asked: ToolChoice) -> Fields:
    match asked:
        case ChooseFunction(function):
            return {"type": "tool", "name": function.name}
        case ChooseAllowed(allowed):
            return {"type": _MODES[allowed.mode]}
        case ChooseCustom():
            raise unsupported("tool_choice.type", "a custom tool", "describe it as a function")
        case mode:
            return {"type": _MODES[mode]}


def _names(allowed: AllowedTools) -> set[str]:
    """`{"type": "function", "function": {"name"}}`, or flat as in OpenAI's Responses."""
    functions = (tool.get("function", tool) for tool in allowed.tools)
    return {str(function.get("name")) for function in functions if isinstance(function, dict)}
