"""Which tools the model calls, and with what."""

from __future__ import annotations

import re
from itertools import cycle, islice
from os import urandom
from typing import Any

import msgspec

from runestone.local.mock_provider.requests import ChatRequest, decoded
from runestone.local.mock_provider.scenarios import Scenario

FRAGMENT = re.compile(r"\w+|\W+")
EXAMPLES: dict[str, Any] = {
    "string": "mock", "number": 1.5, "integer": 1, "boolean": True,
    "array": [], "object": {}, "null": None,
}  # fmt: skip


class Call(msgspec.Struct):
    """One call of a function. Its arguments are kept in the pieces that are streamed."""

    id: str
    name: str
    fragments: list[str]

    @property
    def tokens(self) -> int:
        """The name is one token, and so is each fragment."""
        return 1 + len(self.fragments)

    @property
    def arguments(self) -> str:
        """The arguments as JSON text."""
        return "".join(self.fragments)


def plan_calls(request: ChatRequest, scenario: Scenario) -> list[Call]:
    """The calls to make; none if nobody asks or if tools have just answered."""
    functions = _functions(request)
    if not functions or request.messages[-1].role == "tool":
        return []
    wanted, named = scenario.tools, _choice(request)
    if named is not None:
        functions = [f for f in functions if named in ("", f.get("name"))]
        wanted = wanted or 1
    return [_call(function) for function in islice(cycle(functions), wanted)]


def _functions(request: ChatRequest) -> list[dict[str, Any]]:
    tools = decoded(request.tools) or []
    return [tool["function"] for tool in tools if tool.get("type") == "function"]


def _choice(request: ChatRequest) -> str | None:
    """The function that tool_choice forces, "" for any of them, None for no force."""
    choice = decoded(request.tool_choice)
    if choice == "required":
        return ""
    return choice.get("function", {}).get("name") if isinstance(choice, dict) else None


def _call(function: dict[str, Any]) -> Call:
    arguments = msgspec.json.encode(_example(function.get("parameters") or {})).decode()
    call_id = "call_" + urandom(12).hex()
    return Call(call_id, str(function.get("name")), FRAGMENT.findall(arguments))


def _example(schema: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = schema.get("properties") or {}
    return {name: _value(kind) for name, kind in properties.items()}


def _value(schema: dict[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "object":
        return _example(schema)
    return EXAMPLES.get(str(schema.get("type")), "mock")
