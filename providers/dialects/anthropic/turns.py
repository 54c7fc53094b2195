"""A conversation in chat's words, told in Anthropic's: `system`, and turns of blocks.

System and developer messages go to the top, in their order, wherever they stand: there they keep
their authority over all that the user says. Roles take turns: messages of the same role in a row
are one turn, and in it the results of tools come first. Empty texts, which Anthropic refuses, are
left out.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from providers.dialects.anthropic import thinking
from providers.dialects.unsupported import unsupported
from providers.wire import chat
from runestone.lib.errors import BadRequest

Block = dict[str, Any]

# Where a model wrote arguments that are no JSON object; the name is Anthropic's own for it.
INVALID_JSON = "INVALID_JSON"

_PDF = "application/pdf"
_DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+)?(?:;[\w.=+-]+)*?;base64,", re.ASCII)
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


class Conversation(NamedTuple):
    system: list[Block]
    turns: list[dict[str, Any]]


def conversation(messages: Sequence[chat.Message]) -> Conversation:
    """Raises BadRequest for what Anthropic's models cannot be shown."""
    system: list[Block] = []
    told: list[tuple[str, Block]] = []
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        match message:
            case chat.System() | chat.Developer():
                system.extend(_cached(_shown(message.content, path), message.cache_control))
            case chat.Assistant():
                blocks = _cached(_assistant(message, path), message.cache_control)
                told.extend(("assistant", block) for block in blocks)
            case chat.User():
                blocks = _cached(_shown(message.content, path), message.cache_control)
                told.extend(("user", block) for block in blocks)
            case chat.Tool():
                told.append(("user", _tool_result(message, path)))
            case chat.Function():
                raise unsupported(f"{path}.role", "the role 'function'", "tools take its place")
    turns = [
        {"role": role, "content": _results_first(role, [block for _, block in same])}
        for role, same in groupby(told, itemgetter(0))
    ]
    if not turns:
        raise BadRequest(
            "Invalid 'messages': this model's provider needs a message of the user that is not "
            "empty.",
            param="messages",
            code="invalid_value",
        )
    return Conversation(system, turns)


def _cached(blocks: list[Block], cache_control: chat.CacheControl) -> list[Block]:
    """A whole message is cached up to its last block."""
    if cache_control is not None and blocks:
        blocks[-1]["cache_control"] = cache_control
    return blocks


def _results_first(role: str, blocks: list[Block]) -> list[Block]:
    if role == "assistant":
        return blocks
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _assistant(message: chat.Assistant, path: str) -> list[Block]:
    if message.audio is not None:
        raise unsupported(f"{path}.audio", "the audio of an earlier answer")
    if message.function_call is not None:
        raise unsupported(f"{path}.function_call", "'function_call'", "tool_calls take its place")
    blocks = thinking.replayed(message.reasoning_details or ())
    if message.content is not None:
        blocks += _shown(message.content, path)
    if message.refusal:
        blocks.append(_text(message.refusal))
    for number, call in enumerate(message.tool_calls or ()):
        blocks.append(_tool_use(call, f"{path}.tool_calls[{number}]"))
    return blocks


def _tool_use(call: chat.FunctionCall | chat.CustomCall, path: str) -> Block:
    if isinstance(call, chat.CustomCall):
        raise unsupported(f"{path}.type", "a call of a custom tool")
    function = call.function
    return {
        "type": "tool_use",
        "id": tool_id(call.id),
        "name": function.name,
        "input": _input(function.arguments),
    }


def _input(arguments: str) -> Any:
    """As it was written, if it is an object: numbers keep all their digits."""
    if not arguments.strip():
        return {}
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return {INVALID_JSON: arguments}
    return msgspec.Raw(arguments.encode())


def _tool_result(message: chat.Tool, path: str) -> Block:
    content = message.content
    block: Block = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id)}
    block["content"] = content if isinstance(content, str) else _shown(content, path)
    return _cached([block], message.cache_control)[0]


def tool_id(call_id: str) -> str:
    """Anthropic's ids are of few characters; another provider's become one of these, always the
    same, so that a result still finds its call."""
    if _TOOL_ID.fullmatch(call_id):
        return call_id
    return f"toolu_{sha256(call_id.encode()).hexdigest()[:24]}"


def _shown(content: str | Sequence[Any], path: str) -> list[Block]:
    if isinstance(content, str):
        return [_text(content)] if content else []
    return [
        block
        for number, part in enumerate(content)
        for block in _part(part, f"{path}.content[{number}]")
    ]


def _part(part: Any, path: str) -> Iterator[Block]:
    match part:
        case chat.Text(text):
            if text:
                yield from _cached([_text(text)], part.cache_control)
        case chat.Refusal(text):
            if text:
                yield _text(text)
        case chat.Image():
            block = {"type": "image", "source": _image(part.image_url.url, path)}
            yield from _cached([block], part.cache_control)
        case chat.File():
            yield from _cached([_document(part.file, f"{path}.file")], part.cache_control)
        case chat.Audio():
            raise unsupported(f"{path}.type", "audio")


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _image(url: str, path: str) -> Block:
    path = f"{path}.image_url.url"
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    media_type, data = _data_url(url, path)
    if media_type not in _IMAGES:
        raise unsupported(path, f"an image of the type '{media_type}'")
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(file: chat.FileData, path: str) -> Block:
    if file.file_data is None:
        raise unsupported(f"{path}.file_id", "a file by its id", "send its 'file_data'")
    media_type, data = _PDF, file.file_data
    if data.startswith("data:"):
        media_type, data = _data_url(data, f"{path}.file_data")
    if media_type != _PDF:
        raise unsupported(f"{path}.file_data", f"a file of the type '{media_type}'", "send a PDF")
    source = {"type": "base64", "media_type": _PDF, "data": data}
    block: Block = {"type": "document", "source": source}
    return block | {"title": file.filename} if file.filename else block


def _data_url(url: str, path: str) -> tuple[str, str]:
    """Its media type, and its data in base64."""
    if (head := _DATA_URL.match(url)) is None:
        raise BadRequest(
            f"Invalid '{path}': expected an http(s) URL, or a data URL in base64.",
            param=path,
            code="invalid_value",
        )
    return head["media_type"] or "text/plain", url[head.end() :]
