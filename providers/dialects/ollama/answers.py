"""Ollama's replies, and the chat completion that one stands for."""

from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from providers.dialects.base import Answer
from providers.dialects.refusals import refusal
from runestone.lib.errors import UpstreamBroken
from runestone.lib.usage import Usage

ID_CHARACTERS = 24
# "load" and "unload" answer a request that asked nothing.
_FINISH_REASONS = {"length": "length"}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class CalledFunction(Struct):
    name: str
    arguments: Raw = Raw(b"{}")


class ToolCall(Struct):
    function: CalledFunction
    # Older versions have none.
    id: str | None = None


class Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None


class Reply(Struct):
    """A whole answer, or a line of a stream."""

    model: str = ""
    created_at: str = ""
    message: Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


_reply = msgspec.json.Decoder(Reply)


def read(body: bytes) -> Reply:
    """Raises UpstreamBroken if `body` is no reply, UpstreamRefused if it is an error."""
    try:
        reply = _reply.decode(body)
    except _UNREADABLE:
        raise UpstreamBroken("The provider's answer is not what was asked for.") from None
    if reply.error:
        raise refusal(502, {}, reply.error)
    if reply.message is None:
        raise UpstreamBroken("The provider's answer is not what was asked for.")
    return reply


def completion(body: bytes) -> Answer:
    reply = read(body)
    if not reply.done:
        raise UpstreamBroken("The provider's answer was cut off before its end.")
    name, usage = name_of(body), read_usage(reply.prompt_eval_count, reply.eval_count)
    message = reply.message or Message()
    calls = tool_calls(message, name, 0)
    said: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls and not message.content else message.content or "",
        "refusal": None,
        "annotations": [],
    }
    if message.thinking:
        said["reasoning_content"] = message.thinking
    if calls:
        said["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": said,
        "logprobs": None,
        "finish_reason": finish_reason(reply, called=bool(calls)),
    }
    told = {} if usage is None else {"usage": usage_object(usage)}
    fields = {**head("chat.completion", name, reply), "choices": [choice], **told}
    return Answer(msgspec.json.encode(fields), usage)


def name_of(first: bytes) -> str:
    """Ollama does not name its answers: what it says first, with its time, names one."""
    return sha256(first).hexdigest()[:ID_CHARACTERS]


def head(kind: str, name: str, reply: Reply) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{name}",
        "object": kind,
        "created": _seconds(reply.created_at),
        "model": reply.model,
    }


def tool_calls(message: Message, name: str, before: int) -> list[dict[str, Any]]:
    """`before`: how many calls the answer `name` has made already."""
    return [
        {
            "id": call.id or f"call_{name}{number}",
            "type": "function",
            "function": {"name": call.function.name, "arguments": _text(call.function.arguments)},
        }
        for number, call in enumerate(message.tool_calls or (), before)
    ]


def finish_reason(reply: Reply, *, called: bool) -> str:
    return "tool_calls" if called else _FINISH_REASONS.get(reply.done_reason or "", "stop")


def read_usage(prompt: int | None, answered: int | None = 0) -> Usage | None:
    """None if Ollama did not tell: a prompt that it had in its cache is not counted anew."""
    if prompt is None or answered is None:
        return None
    try:
        return msgspec.convert({"input_tokens": prompt, "output_tokens": answered}, Usage)
    except msgspec.ValidationError:
        return None


def usage_object(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _text(arguments: Raw) -> str:
    """OpenAI's arguments are a text; a template may have made one of them already."""
    given = bytes(arguments)
    try:
        return msgspec.json.decode(given, type=str) if given.startswith(b'"') else given.decode()
    except _UNREADABLE:
        raise UpstreamBroken("The provider called a tool with what is no text.") from None


def _seconds(created_at: str) -> int:
    try:
        return int(datetime.fromisoformat(created_at).timestamp())
    except (ValueError, OverflowError):
        return 0
