"""A conversation in chat's words, told in Ollama's.

There a message's text is one string, its images are a list beside it, a tool's arguments are an
object and a tool's result names the tool, not the call.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from providers.dialects.unsupported import unsupported
from providers.wire import chat
from runestone.lib.errors import BadRequest

Message = dict[str, Any]

# Where a model wrote arguments that are no JSON object.
INVALID_JSON = "INVALID_JSON"
_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w.=+-]+)*;base64,", re.ASCII)


def told(messages: Sequence[chat.Message]) -> list[Message]:
    """Raises BadRequest for what Ollama's models cannot be shown."""
    tools: dict[str, str] = {}
    return [_told(each, f"messages[{number}]", tools) for number, each in enumerate(messages)]


def _told(message: chat.Message, path: str, tools: dict[str, str]) -> Message:
    """`tools` are the names of those that were called so far, by the call's id."""
    match message:
        case chat.System() | chat.Developer():
            return {"role": "system", **_shown(message.content, path)}
        case chat.User():
            return {"role": "user", **_shown(message.content, path)}
        case chat.Assistant():
            return _assistant(message, path, tools)
        case chat.Tool():
            said: Message = {"role": "tool", **_shown(message.content, path)}
            name = tools.get(message.tool_call_id)
            return said if name is None else {**said, "tool_name": name}
        case chat.Function():
            raise unsupported(f"{path}.role", "the role 'function'", "tools take its place")


def _assistant(message: chat.Assistant, path: str, tools: dict[str, str]) -> Message:
    if message.audio is not None:
        raise unsupported(f"{path}.audio", "the audio of an earlier answer")
    if message.function_call is not None:
        raise unsupported(f"{path}.function_call", "'function_call'", "tool_calls take its place")
    said: Message = {"role": "assistant", **_shown(message.content or message.refusal or "", path)}
    calls = []
    for number, call in enumerate(message.tool_calls or ()):
        if isinstance(call, chat.CustomCall):
            raise unsupported(f"{path}.tool_calls[{number}].type", "a call of a custom tool")
        tools[call.id] = call.function.name
        arguments = _arguments(call.function.arguments)
        calls.append({"function": {"name": call.function.name, "arguments": arguments}})
    return {**said, "tool_calls": calls} if calls else said


def _arguments(text: str) -> Any:
    """As it was written, if it is an object: numbers keep all their digits."""
    if not text.strip():
        return {}
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return {INVALID_JSON: text}
    return msgspec.Raw(text.encode())


def _shown(content: str | Sequence[Any], path: str) -> Message:
    if isinstance(content, str):
        return {"content": content}
    texts, images = [], []
    for number, part in enumerate(content):
        match part:
            case chat.Text(text) | chat.Refusal(text):
                texts.append(text)
            case chat.Image(image_url):
                images.append(_image(image_url.url, f"{path}.content[{number}].image_url.url"))
            case _:
                raise unsupported(f"{path}.content[{number}].type", "anything but text and images")
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _image(url: str, path: str) -> str:
    """The base64 of a data URL."""
    if (found := _DATA_URL.match(url)) is None:
        raise BadRequest(
            f"Invalid '{path}': this model's provider reads images from data URLs "
            "(data:image/png;base64,...) only.",
            param=path,
            code="unsupported_value",
        )
    return url[found.end() :]
