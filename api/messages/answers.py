"""A chat completion as the message that it stands for."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from api.messages import counting
from api.messages.wire import MessagesRequest
from providers import tokens
from providers.dialects.openai import read_usage
from providers.wire import UsageFigures
from runestone.lib.errors import UpstreamBroken
from runestone.lib.usage import Usage

# Where a model wrote arguments that are no JSON object; the name is Anthropic's own for it.
INVALID_JSON = "INVALID_JSON"

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

_OWN = ("provider", "routing_policy", "request_id")

Fields = dict[str, Any]


class CalledFunction(Struct):
    name: str | None = None
    arguments: str | None = None


class CalledTool(Struct):
    """Of a whole answer, or a fragment of a stream's."""

    index: int | None = None
    id: str | None = None
    function: CalledFunction | None = None


class Said(Struct):
    """A message, or a delta."""

    content: Any = None
    refusal: str | None = None
    # Two names that vendors have for the same thing.
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CalledTool] | None = None

    @property
    def thought(self) -> str:
        return self.reasoning_content or self.reasoning or ""

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            parts = (part for part in self.content if isinstance(part, dict))
            return "".join(str(part.get("text") or "") for part in parts)
        return str(self.content or "")


class Choice(Struct):
    index: int = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    # vLLM and its kin say which stop sequence it was.
    stop_reason: Any = None


class ChatAnswer(Struct):
    """A completion, or a chunk of one."""

    # Anthropic's own wire has one; an upstream that speaks it has answered in it.
    type: str = ""
    model: str = ""
    choices: list[Choice] | None = None
    usage: UsageFigures | None = None
    # Runestone's own, which ride beside Anthropic's fields as they do beside OpenAI's.
    provider: str | None = None
    routing_policy: str | None = None
    request_id: str | None = None

    def head(self, message_id: str) -> Fields:
        """How a message begins, whole or streamed."""
        own = {name: getattr(self, name) for name in _OWN if getattr(self, name)}
        message = {"id": message_id, "type": "message", "role": "assistant", "model": self.model}
        return message | own


_answer = msgspec.json.Decoder(ChatAnswer)


def read(body: bytes) -> ChatAnswer:
    try:
        return _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamBroken("The provider's answer is not what was asked for.") from None


def message(body: bytes, asked: MessagesRequest, message_id: str) -> Fields:
    """The provider's figures where it gave some, estimates where it gave none."""
    answer = read(body)
    if answer.type == "message":
        return msgspec.json.decode(body, type=Fields)
    if not answer.choices or answer.choices[0].message is None:
        raise UpstreamBroken("The provider's answer is not what was asked for.")
    choice, said = answer.choices[0], answer.choices[0].message
    usage = read_usage(answer.usage) or Usage(
        input_tokens=counting.estimated(asked), output_tokens=tokens.estimated_output(0, len(body))
    )
    return {
        **answer.head(message_id),
        "content": list(_blocks(said)),
        **stop_fields(choice, said.refusal or "", bool(said.tool_calls), asked),
        "usage": usage_fields(usage),
    }


def stop_fields(
    choice: Choice | None, refusal: str, has_calls: bool, asked: MessagesRequest
) -> Fields:
    """Why it ended. Not all providers say `tool_calls` when they call tools; the calls do."""
    reason = _STOP_REASONS.get((choice and choice.finish_reason) or "", "end_turn")
    stops = asked.stop_sequences or ()
    sequence = None
    if refusal:
        reason = "refusal"
    elif has_calls and reason == "end_turn":
        reason = "tool_use"
    elif reason == "end_turn" and choice is not None and choice.stop_reason in stops:
        reason, sequence = "stop_sequence", choice.stop_reason
    details = None
    if reason == "refusal":
        details = {"type": "refusal", "category": None, "explanation": refusal or None}
    return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details}


def usage_fields(usage: Usage) -> Fields:
    """Anthropic's `input_tokens` leaves out what the cache read or wrote."""
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    fields: Fields = {
        "input_tokens": usage.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return fields


def _blocks(said: Said) -> Iterator[Fields]:
    if said.thought:
        yield {"type": "thinking", "thinking": said.thought, "signature": ""}
    if said.text:
        yield {"type": "text", "text": said.text}
    if said.refusal:
        yield {"type": "text", "text": said.refusal}
    for number, call in enumerate(said.tool_calls or ()):
        function = call.function or CalledFunction()
        yield {**tool_use(call.id, function.name, number), "input": _input(function.arguments)}


def tool_use(call_id: str | None, name: str | None, number: int) -> Fields:
    """Ids pass as they are, for the caller's results go back to the same provider."""
    return {"type": "tool_use", "id": call_id or f"toolu_{number}", "name": name or "", "input": {}}


def _input(arguments: str | None) -> Fields:
    if not arguments:
        return {}
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {INVALID_JSON: arguments}
