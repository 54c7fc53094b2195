"""A message as the chat completion that it stands for."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from providers.dialects.anthropic.errors import failure_of
from providers.dialects.anthropic.thinking import ENCRYPTED, FORMAT, TEXT
from providers.dialects.anthropic.usage import read_usage, usage_object
from providers.dialects.anthropic.wire import Block, Ending, Message
from providers.dialects.base import Answer
from runestone.lib.errors import UpstreamBroken

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    # The turn is to be continued by sending it back; chat has no word for that.
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_message = msgspec.json.Decoder(Message)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read(body: bytes) -> Message:
    """Raises UpstreamBroken if `body`, of a 200, is no message."""
    try:
        message = _message.decode(body)
    except _UNREADABLE:
        raise UpstreamBroken("The provider's answer is not what was asked for.") from None
    if message.error:
        raise failure_of(message.error)
    if message.type != "message":
        raise UpstreamBroken("The provider's answer is not what was asked for.")
    return message


def completion(message: Message) -> Answer:
    usage = read_usage(message.usage)
    fields: dict[str, Any] = {
        "id": message.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message.model,
        "choices": [
            {
                "index": 0,
                "message": _said(message),
                "logprobs": None,
                **finish_fields(message),
            }
        ],
    }
    if usage is not None:
        fields |= {"usage": usage_object(usage), "service_tier": usage.service_tier or "default"}
    return Answer(msgspec.json.encode(fields), usage)


def finish_fields(ending: Ending) -> dict[str, Any]:
    """`stop_reason`, vLLM's extension, says which stop sequence it was."""
    fields = {"finish_reason": _FINISH_REASONS.get(ending.stop_reason or "", "stop")}
    return fields | {"stop_reason": ending.stop_sequence} if ending.stop_sequence else fields


def refusal_of(ending: Ending) -> str | None:
    return None if ending.stop_details is None else ending.stop_details.explanation


def _said(message: Message) -> dict[str, Any]:
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [_tool_call(block) for block in message.content if block.type == "tool_use"]
    refusal = refusal_of(message)
    said: dict[str, Any] = {
        "role": "assistant",
        "content": None if not text and (calls or refusal) else text,
        "refusal": refusal,
        "annotations": [],
    }
    if calls:
        said["tool_calls"] = calls
    if details := _reasoning_details(message.content):
        said["reasoning_details"] = details
    if thought := "".join(block.thinking for block in message.content):
        said["reasoning_content"] = thought
    return said


def _tool_call(block: Block) -> dict[str, Any]:
    arguments = bytes(block.input).decode()
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }


def _reasoning_details(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    for block in blocks:
        place = {"format": FORMAT, "index": len(details)}
        if block.type == "thinking":
            text = {"text": block.thinking, "signature": block.signature}
            details.append({"type": TEXT, **text, **place})
        elif block.type == "redacted_thinking":
            details.append({"type": ENCRYPTED, "data": block.data, **place})
    return details
