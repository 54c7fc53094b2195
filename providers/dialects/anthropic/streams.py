"""Anthropic's events as chat's chunks, or as they are.

A chunk is put together from bytes: a text is, as a JSON string, the same in both wires.
"""

import time
from abc import ABC, abstractmethod
from typing import Any

import msgspec
from msgspec import Raw

from providers.dialects.anthropic.answers import finish_fields, refusal_of
from providers.dialects.anthropic.errors import failure_of
from providers.dialects.anthropic.thinking import ENCRYPTED, FORMAT, TEXT
from providers.dialects.anthropic.usage import read_usage, updated, usage_object
from providers.dialects.anthropic.wire import (
    EMPTY,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Delta,
    Ending,
    Event,
    Failure,
    Message,
    MessageDelta,
    MessageStart,
    MessageStop,
    UsageFigures,
)
from providers.dialects.base import Relayed
from providers.tokens import estimated_output
from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.lib.usage import Usage, UsageSource

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_KINDS = frozenset(str(kind.__struct_config__.tag) for kind in Event.__args__)


class _Kind(msgspec.Struct):
    type: str = ""


_kind = msgspec.json.Decoder(_Kind)
_encode = msgspec.json.encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NO_INPUT = b"{}"


class AnthropicRelay(ABC):
    """Reads the events: usage, errors, the end. What the caller gets of each is a subclass's."""

    def __init__(self) -> None:
        self._reader = sse.Reader()
        self._figures: UsageFigures | None = None
        self._ended = False
        self._done = False
        self._pieces = self._text_bytes = 0
        # The last known usage; and the same, if the data being fed changed it.
        self._usage: Usage | None = None
        self._news: Usage | None = None

    def feed(self, data: bytes) -> Relayed:
        told: list[bytes] = []
        failure: UpstreamError | None = None
        pieces, text_bytes = self._pieces, self._text_bytes
        self._news = None
        try:
            for event in self._reader.feed(data):
                if (said := self._relayed(event.data)) is not None:
                    told.append(said)
                if self._done:
                    break
        except UpstreamError as error:
            failure = error
        if self._pieces > pieces:
            self._news = self._usage = self._usage_so_far()
        return Relayed(
            b"".join(told),
            self._news,
            self._pieces - pieces,
            self._text_bytes - text_bytes,
            self._done,
            failure,
        )

    def finish(self) -> bytes:
        # The last event may lack the blank line that ends it.
        last = self.feed(b"\n\n")
        if last.failure is not None:
            raise last.failure
        if last.done:
            return last.data
        if not self._ended:
            raise UpstreamBroken("The provider's stream was cut off before its end.")
        return last.data + self._end()

    @abstractmethod
    def _told(self, event: Event, payload: bytes) -> bytes | None:
        """The event as the caller gets it; None if it is not for the caller."""

    @abstractmethod
    def _end(self) -> bytes:
        """What the caller gets when everything has been said."""

    def _relayed(self, payload: bytes) -> bytes | None:
        event = _decoded(payload)
        match event:
            case BlockDelta():
                if self._figures is None:
                    raise UpstreamBroken("The provider began its answer in the middle.")
                self._count(event.delta)
            case MessageStart(message):
                self._observe(message.usage or UsageFigures())
            case MessageDelta(ending, figures):
                self._ended = self._ended or ending.stop_reason is not None
                figures = figures or UsageFigures()
                self._observe(figures, final=figures.output_tokens is not None)
            case MessageStop():
                if not self._ended:
                    raise UpstreamBroken("The provider ended its answer without a reason.")
                self._done = True
            case Failure(error):
                raise failure_of(error)
            case None:
                return None
        return self._told(event, payload)

    def _count(self, delta: Delta) -> None:
        # One of them is not empty; each is a JSON string in its quotes.
        size = len(delta.text) + len(delta.partial_json) + len(delta.thinking) - 3 * len(EMPTY)
        if size > 0:
            self._pieces += 1
            self._text_bytes += size

    def _observe(self, figures: UsageFigures, *, final: bool = False) -> None:
        self._figures = figures if self._figures is None else updated(self._figures, figures)
        source = UsageSource.REPORTED if final else UsageSource.COUNTED
        self._usage = read_usage(self._figures, source)
        self._news = self._usage = self._usage_so_far()

    def _usage_so_far(self) -> Usage | None:
        """Anthropic tells the input's figures first, the output's last: until then we count."""
        usage = self._usage
        if usage is None or usage.source is UsageSource.REPORTED:
            return usage
        counted = estimated_output(self._pieces, self._text_bytes)
        if counted <= usage.output_tokens:
            return usage
        return msgspec.structs.replace(usage, output_tokens=counted)


class NativeRelay(AnthropicRelay):
    """For a caller that speaks Anthropic's wire itself."""

    def _told(self, event: Event, payload: bytes) -> bytes:
        name = str(event.__struct_config__.tag).encode()
        return b"event: " + name + b"\n" + sse.encode(payload.replace(b"\n", b" "))

    def _end(self) -> bytes:
        return self._told(MessageStop(), b'{"type":"message_stop"}')


class ChatRelay(AnthropicRelay):
    def __init__(self, *, wants_usage_chunk: bool) -> None:
        super().__init__()
        self._wants_usage_chunk = wants_usage_chunk
        # How every chunk begins, and how one ends that finishes nothing.
        self._head = b""
        self._tail = b'},"logprobs":null,"finish_reason":null}]' + self._no_usage() + b"}\n\n"
        self._before_text = b""
        # The number of the open tool among the tools, and its input while none was streamed.
        self._tool = -1
        self._input: bytes | None = None
        # The number of the open thought among the thoughts.
        self._thought = -1

    def _told(self, event: Event, payload: bytes) -> bytes | None:
        match event:
            case BlockDelta():
                return self._delta(event.delta)
            case MessageStart(message):
                return self._start(message)
            case BlockStart(_, block):
                return self._block(block)
            case BlockStop():
                return self._input_owed()
            case MessageDelta(ending):
                return self._finish(ending) if ending.stop_reason is not None else None
            case MessageStop():
                return self._end()
            case _:
                return None

    def _delta(self, delta: Delta) -> bytes | None:
        if len(delta.text) > len(EMPTY):
            return b"%b%b%b" % (self._before_text, delta.text, self._tail)
        if len(delta.partial_json) > len(EMPTY):
            self._input = None
            return self._arguments(delta.partial_json)
        if len(delta.thinking) > len(EMPTY):
            detail = self._detail(TEXT, {"text": delta.thinking})
            return self._chunk({"reasoning_content": delta.thinking, "reasoning_details": detail})
        if len(delta.signature) > len(EMPTY):
            detail = self._detail(TEXT, {"signature": delta.signature})
            return self._chunk({"reasoning_details": detail})
        return None

    def _start(self, message: Message) -> bytes | None:
        if self._head:
            # A second start has been seen in the wild; the first one counts.
            return None
        head = {
            "id": message.id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": message.model,
        }
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['
        self._before_text = self._head + b'{"index":0,"delta":{"content":'
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _block(self, block: Block) -> bytes | None:
        owed = self._input_owed() or b""
        match block.type:
            case "tool_use":
                return owed + self._tool_start(block)
            case "thinking":
                self._thought += 1
            case "redacted_thinking":
                self._thought += 1
                detail = self._detail(ENCRYPTED, {"data": block.data})
                return owed + self._chunk({"reasoning_details": detail})
            case "text" if block.text:
                return owed + self._chunk({"content": block.text})
        return owed or None

    def _tool_start(self, block: Block) -> bytes:
        self._tool += 1
        self._input = bytes(block.input)
        call = {
            "index": self._tool,
            "id": block.id,
            "type": "function",
            "function": {"name": block.name, "arguments": ""},
        }
        return self._chunk({"tool_calls": [call]})

    def _input_owed(self) -> bytes | None:
        """A tool's input that no delta told: nothing at all, or all of it at the start."""
        if self._input is None:
            return None
        arguments, self._input = self._input, None
        return self._arguments(arguments.decode())

    def _arguments(self, fragment: Raw | str) -> bytes:
        call = {"index": self._tool, "function": {"arguments": fragment}}
        return self._chunk({"tool_calls": [call]})

    def _detail(self, kind: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"type": kind, **fields, "format": FORMAT, "index": max(self._thought, 0)}]

    def _finish(self, ending: Ending) -> bytes:
        owed = self._input_owed() or b""
        if refusal := refusal_of(ending):
            owed += self._chunk({"refusal": refusal})
        choice = {"index": 0, "delta": {}, "logprobs": None, **finish_fields(ending)}
        return owed + self._head + _encode(choice) + b"]" + self._no_usage() + b"}\n\n"

    def _end(self) -> bytes:
        if self._usage is None or not self._wants_usage_chunk:
            return sse.encode(sse.DONE)
        figures = _encode(usage_object(self._usage))
        return self._head + b'],"usage":' + figures + b"}\n\n" + sse.encode(sse.DONE)

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._head + b'{"index":0,"delta":' + _encode(delta)[:-1] + self._tail

    def _no_usage(self) -> bytes:
        return b',"usage":null' if self._wants_usage_chunk else b""


def _decoded(payload: bytes) -> Event | None:
    """None for a kind of event that we do not know: Anthropic may add some."""
    try:
        return _event.decode(payload)
    except _UNREADABLE as error:
        if isinstance(error, msgspec.ValidationError) and _is_of_unknown_kind(payload):
            return None
        raise UpstreamBroken("The provider sent an event that we cannot read.") from None


def _is_of_unknown_kind(payload: bytes) -> bool:
    try:
        kind = _kind.decode(payload).type
    except _UNREADABLE:
        return False
    return bool(kind) and kind not in _KINDS
