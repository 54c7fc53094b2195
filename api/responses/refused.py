"""What cannot be done over providers that only speak chat: said plainly, not dropped in silence."""

from collections.abc import Iterable
from typing import Any

from api.responses.items import CallOutput, InputFile, InputImage, Item, User
from api.responses.request import ResponseRequest
from runestone.lib.errors import BadRequest

_NOT_HERE = {
    "background": "Responses are made while you wait; there is no background mode.",
    "conversation": "Use 'previous_response_id', or send the whole conversation as 'input'.",
    "prompt": "There are no stored prompt templates. Send 'instructions' and 'input'.",
    "moderation": "No price is known for it.",
    "context_management": "Shorten the conversation yourself.",
}

# Words of chat completions that would change what the answer is, and what they are called here.
_MOVED = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
    "web_search_options": "tools",
    "logprobs": "include",
}
_ONLY_IN_CHAT = ("n", "modalities", "audio", "prediction")


def check_fields(names: Iterable[str]) -> None:
    """Raises BadRequest for a field of chat completions that has no place here."""
    for name in names:
        if name in _MOVED:
            raise unsupported(name, f"In the Responses API it is called '{_MOVED[name]}'.")
        if name in _ONLY_IN_CHAT:
            raise unsupported(name, "The Responses API does not have it.")


def check(request: ResponseRequest) -> None:
    for name, reason in _NOT_HERE.items():
        if getattr(request, name):
            raise unsupported(name, reason)
    if request.reasoning is not None and request.reasoning.mode == "pro":
        raise unsupported("reasoning.mode", "Only 'standard' reasoning is served.")


def check_item(item: Item, place: str) -> None:
    """`place` is where the item stands, as `input[3]`."""
    if isinstance(item, User):
        content, place = item.content, f"{place}.content"
    elif isinstance(item, CallOutput):
        content, place = item.output, f"{place}.output"
    else:
        return
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, InputImage | InputFile):
            _check_part(part, f"{place}[{number}]")


def _check_part(part: InputImage | InputFile, place: str) -> None:
    if part.file_id is not None:
        raise unsupported(f"{place}.file_id", "Files are not kept here: send the data itself.")
    if isinstance(part, InputImage) and part.image_url is None:
        raise _missing(f"{place}.image_url")
    if isinstance(part, InputFile) and part.file_url is not None:
        raise unsupported(f"{place}.file_url", "Files are not fetched: send 'file_data'.")
    if isinstance(part, InputFile) and part.file_data is None:
        raise _missing(f"{place}.file_data")


def _missing(place: str) -> BadRequest:
    return BadRequest(
        f"Missing required parameter: '{place}'.", param=place, code="missing_required_parameter"
    )


def hosted(kind: Any, place: str) -> BadRequest:
    """The refusal of a tool, or an item, that only OpenAI's own servers have."""
    return BadRequest(
        f"Unsupported parameter: '{place}' does not support '{kind}' here. Only function and "
        "custom tools, which the caller runs itself, are served.",
        param=place,
        code="unsupported_parameter",
    )


def unsupported(param: str, reason: str) -> BadRequest:
    return BadRequest(
        f"Unsupported parameter: '{param}' is not supported here. {reason}",
        param=param,
        code="unsupported_parameter",
    )
