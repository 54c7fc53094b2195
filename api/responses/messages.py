"""A conversation's items as chat messages.

Chat has one assistant message where Responses has a message and its tool calls as items of their
own, so neighbours are joined. Reasoning is left out: no chat provider takes it back.
"""

from collections.abc import Iterable
from typing import Any

from api.responses.items import (
    Assistant,
    CallOutput,
    CustomCall,
    Developer,
    FunctionCall,
    InputImage,
    InputPart,
    InputText,
    Item,
    OutputText,
    Refusal,
    Spoken,
    System,
    User,
)
from runestone.lib.errors import BadRequest

Message = dict[str, Any]


def messages(items: Iterable[Item]) -> list[Message]:
    made: list[Message] = []
    for item in items:
        if isinstance(item, FunctionCall | CustomCall):
            _join_call(made, _call(item))
        elif isinstance(item, Assistant):
            _join_words(made, _assistant(item))
        elif isinstance(item, CallOutput):
            output = _content(item.output)
            made.append({"role": "tool", "tool_call_id": item.call_id, "content": output})
        elif isinstance(item, User | System | Developer):
            role = item.__struct_config__.tag
            made.append({"role": role, "content": _content(item.content)})
    return made


def check_calls(items: Iterable[Item]) -> None:
    """Raises BadRequest for a call without its output, or the other way round, as OpenAI does.

    Providers would complain in words about messages that the caller never wrote.
    """
    kept = list(items)
    calls = [item.call_id for item in kept if isinstance(item, FunctionCall | CustomCall)]
    outputs = [item.call_id for item in kept if isinstance(item, CallOutput)]
    for call_id in set(outputs).difference(calls):
        raise _unpaired(f"No tool call found for function call output with call_id {call_id}.")
    for call_id in set(calls).difference(outputs):
        raise _unpaired(f"No tool output found for function call {call_id}.")


def _unpaired(message: str) -> BadRequest:
    return BadRequest(message, param="input", code="invalid_value")


def _join_call(made: list[Message], call: dict[str, Any]) -> None:
    if not (made and made[-1]["role"] == "assistant"):
        made.append({"role": "assistant", "content": None})
    made[-1].setdefault("tool_calls", []).append(call)


def _join_words(made: list[Message], said: Message) -> None:
    # What is said between a call and its output must not part them.
    if made and "tool_calls" in made[-1]:
        before = made[-1]["content"]
        made[-1]["content"] = "\n".join(filter(None, (before, said["content"]))) or None
    else:
        made.append(said)


def _call(item: FunctionCall | CustomCall) -> dict[str, Any]:
    if isinstance(item, FunctionCall):
        function = {"name": item.name, "arguments": item.arguments}
        return {"id": item.call_id, "type": "function", "function": function}
    return {
        "id": item.call_id,
        "type": "custom",
        "custom": {"name": item.name, "input": item.input},
    }


def _assistant(item: Assistant) -> Message:
    if isinstance(item.content, str):
        return {"role": "assistant", "content": item.content}
    text = "".join(map(_text_of, item.content))
    refusal = "".join(part.refusal for part in item.content if isinstance(part, Refusal))
    if refusal:
        return {"role": "assistant", "content": text or None, "refusal": refusal}
    return {"role": "assistant", "content": text}


def _text_of(part: Spoken) -> str:
    return part.text if isinstance(part, InputText | OutputText) else ""


def _content(given: str | list[InputPart] | list[InputText]) -> str | list[dict[str, Any]]:
    if isinstance(given, str):
        return given
    # Not every provider reads parts, so they are kept for what needs them.
    if len(given) == 1 and isinstance(given[0], InputText):
        return given[0].text
    return [_part(part) for part in given] or ""


def _part(part: InputPart) -> dict[str, Any]:
    if isinstance(part, InputText):
        return {"type": "text", "text": part.text}
    if isinstance(part, InputImage):
        image = {"url": part.image_url, "detail": part.detail}
        return {"type": "image_url", "image_url": _given(image)}
    file = {"file_data": part.file_data, "filename": part.filename}
    return {"type": "file", "file": _given(file)}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
