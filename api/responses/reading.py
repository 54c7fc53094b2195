"""A request as it came, read and checked; its faults are named by their path, as OpenAI does."""

import re
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from api.requests import explained, unparsable
from api.responses import refused
from api.responses.items import KINDS, Item
from api.responses.request import (
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    CustomTool,
    FunctionTool,
    Mode,
    ResponseRequest,
    Tool,
    ToolChoice,
)
from runestone.lib.errors import BadRequest


class Asked(NamedTuple):
    request: ResponseRequest
    # Every field, to pass on what chat calls by the same name, or what only the vendor knows.
    fields: dict[str, Raw]
    # Beside each item its JSON, as it came, to be kept.
    items: list[tuple[Item, dict[str, Any]]]
    tools: list[Tool]
    tool_choice: ToolChoice | None


class _Head(Struct):
    type: str | None = None
    role: str | None = None
    id: str | None = None


_request = msgspec.json.Decoder(ResponseRequest)
_fields = msgspec.json.Decoder(dict[str, Raw])
_head = msgspec.json.Decoder(_Head)
_object = msgspec.json.Decoder(dict[str, Any])
_items: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()
}
_tools: dict[str, msgspec.json.Decoder[Any]] = {
    "function": msgspec.json.Decoder(FunctionTool),
    "custom": msgspec.json.Decoder(CustomTool),
}
_mode: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Mode)
_choices: dict[str, msgspec.json.Decoder[Any]] = {
    "function": msgspec.json.Decoder(ChooseFunction),
    "custom": msgspec.json.Decoder(ChooseCustom),
    "allowed_tools": msgspec.json.Decoder(ChooseAllowed),
}


def read(body: bytes) -> Asked:
    """Raises BadRequest."""
    try:
        fields = _fields.decode(body)
        refused.check_fields(fields)
        request = _request.decode(body)
    except msgspec.ValidationError as error:
        raise explained(str(error), body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unparsable() from None
    refused.check(request)
    return _Reader(body).asked(request, fields)


class _Reader:
    """Reads the raw parts of one body, and tells their faults by their place in it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def asked(self, request: ResponseRequest, fields: dict[str, Raw]) -> Asked:
        tools = [self._tool(raw, f"tools[{n}]") for n, raw in enumerate(request.tools or ())]
        choice = self._choice(request)
        if choice not in (None, "none", "auto") and not tools:
            raise BadRequest(
                "Invalid value: 'tool_choice' can only force a tool when 'tools' are given.",
                param="tool_choice",
                code="invalid_value",
            )
        return Asked(request, fields, self._items(request.input), tools, choice)

    def _items(self, given: str | list[Raw]) -> list[tuple[Item, dict[str, Any]]]:
        if isinstance(given, str):
            raw = msgspec.json.encode({"role": "user", "content": given})
            return [(_items["message"].decode(raw), _object.decode(raw))]
        return [self._item(raw, f"input[{n}]") for n, raw in enumerate(given)]

    def _item(self, raw: Raw, place: str) -> tuple[Item, dict[str, Any]]:
        head: _Head = self._decoded(_head, raw, place)
        kind = head.type or ("message" if head.role or not head.id else "item_reference")
        if kind not in _items:
            raise refused.hosted(kind, f"{place}.type")
        item: Item = self._decoded(_items[kind], raw, place)
        refused.check_item(item, place)
        return item, _object.decode(raw)

    def _tool(self, raw: Raw, place: str) -> Tool:
        head: _Head = self._decoded(_head, raw, place)
        kind = self._known(head.type, place)
        if kind not in _tools:
            raise refused.hosted(kind, f"{place}.type")
        tool: Tool = self._decoded(_tools[kind], raw, place)
        return tool

    def _choice(self, request: ResponseRequest) -> ToolChoice | None:
        raw = request.tool_choice
        if not isinstance(raw, Raw) or bytes(raw) == b"null":
            return None
        if not bytes(raw).startswith(b"{"):
            mode: ToolChoice = self._decoded(_mode, raw, "tool_choice")
            return mode
        head: _Head = self._decoded(_head, raw, "tool_choice")
        kind = self._known(head.type, "tool_choice")
        if kind not in _choices:
            raise refused.hosted(kind, "tool_choice.type")
        choice: ToolChoice = self._decoded(_choices[kind], raw, "tool_choice")
        if isinstance(choice, ChooseAllowed):
            for n, each in enumerate(choice.tools):
                self._tool_choice_of(each, f"tool_choice.tools[{n}]")
        return choice

    def _tool_choice_of(self, raw: Raw, place: str) -> None:
        head: _Head = self._decoded(_head, raw, place)
        kind = self._known(head.type, place)
        if kind not in _tools:
            raise refused.hosted(kind, f"{place}.type")
        self._decoded(_choices[kind], raw, place)

    def _known(self, kind: str | None, place: str) -> str:
        if kind is None:
            raise explained(f"Object missing required field `type` - at `$.{place}`", self._body)
        return kind

    def _decoded(self, decoder: msgspec.json.Decoder[Any], raw: Raw, place: str) -> Any:
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise explained(_placed(str(error), place), self._body) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise unparsable() from None


_AT = re.compile(r" - at `\$([^`]*)`$")


def _placed(complaint: str, place: str) -> str:
    """A complaint about a part as a complaint about the whole body."""
    found = _AT.search(complaint)
    inner = found[1] if found else ""
    return f"{_AT.sub('', complaint)} - at `$.{place}{inner}`"
