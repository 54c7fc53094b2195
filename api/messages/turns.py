"""A conversation in Messages' words, told in chat's.

The two differ in where a tool's result stands: in Messages it is a block of the user's turn, in
chat it is a message of its own, right after the call that it answers.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from api.messages.wire import (
    Assistant,
    AssistantBlock,
    Base64Image,
    Base64PDF,
    ContentSource,
    Document,
    Image,
    PlainText,
    SearchResult,
    Shown,
    System,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    User,
    UserBlock,
)

Message = dict[str, Any]
Part = dict[str, Any]
Content = str | list[Part]


def chat_messages(system: str | Sequence[Text] | None, turns: Sequence[Turn]) -> list[Message]:
    """The whole conversation. Turns of the same role in a row are one turn, as Anthropic has it."""
    messages = [_system(_blocks(system))] if system else []
    for role, same in groupby(turns, type):
        blocks = [block for turn in same for block in _blocks(turn.content)]
        messages.extend(_TELL[role](blocks))
    return messages


def _blocks(content: str | Sequence[Any]) -> Sequence[Any]:
    return [Text(content)] if isinstance(content, str) else content


def _system(blocks: Sequence[Text]) -> Message:
    return {"role": "system", "content": _content(_parts(blocks))}


def _systems(blocks: Sequence[Text]) -> Iterator[Message]:
    yield _system(blocks)


def _assistant(blocks: Sequence[AssistantBlock]) -> Iterator[Message]:
    """Thinking is dropped: it is signed for another provider's eyes."""
    texts = [block.text for block in blocks if isinstance(block, Text)]
    calls = [_tool_call(block) for block in blocks if isinstance(block, ToolUse)]
    message: Message = {"role": "assistant", "content": "".join(texts)}
    if calls:
        message |= {"content": "".join(texts) or None, "tool_calls": calls}
    yield message


def _tool_call(block: ToolUse) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.input).decode()
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }


def _user(blocks: Sequence[UserBlock]) -> Iterator[Message]:
    """First what the tools said, each in a message of its own, then what the user says."""
    parts: list[Part] = []
    for block in blocks:
        if isinstance(block, ToolResult):
            told, pictures = _tool_result(block)
            yield told
            parts.extend(pictures)
    parts.extend(_parts([block for block in blocks if not isinstance(block, ToolResult)]))
    if parts or not any(isinstance(block, ToolResult) for block in blocks):
        yield {"role": "user", "content": _content(parts)}


def _tool_result(block: ToolResult) -> tuple[Message, list[Part]]:
    """The tool's message, and what cannot stand in one: chat's tools say text only."""
    parts = _parts(_blocks(block.content or ""))
    texts = [part for part in parts if part["type"] == "text"]
    others = [part for part in parts if part["type"] != "text"]
    if block.is_error:
        # Chat has no mark for a tool that failed, so the model is told in words.
        texts.insert(0, _text("The tool failed:"))
    if others:
        label = f"The result of tool call {block.tool_use_id} has this:"
        texts.append(_text(f"({len(others)} more in the next user message.)"))
        others.insert(0, _text(label))
    content = "\n".join(part["text"] for part in texts)
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}, others


def _content(parts: list[Part]) -> Content:
    """Plain where it can be: not every provider takes parts."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _parts(blocks: Sequence[Shown]) -> list[Part]:
    return [part for block in blocks for part in _parts_of(block)]


def _parts_of(block: Shown) -> Iterator[Part]:
    match block:
        case Text(text):
            yield _text(text)
        case Image():
            yield _image(block)
        case SearchResult(source, title, content):
            yield _text("\n".join([title, source, *(text.text for text in content)]))
        case Document():
            yield from _document(block)


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _image(block: Image) -> Part:
    source = block.source
    if isinstance(source, Base64Image):
        url = f"data:{source.media_type};base64,{source.data}"
    else:
        url = source.url
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Document) -> Iterator[Part]:
    heading = "\n".join(line for line in (block.title, block.context) if line)
    match block.source:
        case Base64PDF(media_type, data):
            if block.context:
                yield _text(block.context)
            file = {
                "filename": block.title or "document.pdf",
                "file_data": f"data:{media_type};base64,{data}",
            }
            yield {"type": "file", "file": file}
        case PlainText(data):
            yield _text(f"{heading}\n{data}" if heading else data)
        case ContentSource(content):
            if heading:
                yield _text(heading)
            yield from _parts(_blocks(content))


_TELL: dict[type[Turn], Any] = {User: _user, Assistant: _assistant, System: _systems}
