"""Chat's chunks as Anthropic's events.

A message is a row of content blocks, each started, added to and stopped before the next one. Chat
has no blocks: what a delta carries (reasoning, text, a tool call) says which block it is of.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from api.messages import answers, counting
from api.messages.answers import ChatAnswer, Choice, Fields, Said
from api.messages.tool_calls import ToolCall, ToolCalls
from api.messages.wire import MessagesRequest
from providers import tokens
from providers.dialects.openai import read_usage
from runestone.lib import sse
from runestone.lib.usage import Usage

_EVENT = b"event: "


def event(fields: Fields) -> bytes:
    """Anthropic's SDKs pass over events that have no name."""
    name = str(fields["type"]).encode()
    return _EVENT + name + b"\n" + sse.encode(msgspec.json.encode(fields))


class MessageStream:
    """Feed it what the pipeline yields; `finish` when that ends."""

    def __init__(self, asked: MessagesRequest, message_id: str) -> None:
        self._asked = asked
        self._message_id = message_id
        # Chat tells its figures at the end, and some clients look at the start only.
        self._usage = Usage(input_tokens=counting.estimated(asked))
        self._reader = sse.Reader()
        self._events: list[bytes] = []
        self._started = False
        self._is_native = False
        # The open block's index and kind; tools have theirs in `_calls`.
        self._index = -1
        self._open = ""
        self._calls = ToolCalls()
        self._ended: Choice | None = None
        self._refusal = ""
        self._has_figures = False
        self._pieces = self._text_bytes = 0

    def feed(self, data: bytes) -> bytes:
        if data.startswith(_EVENT):
            # Only Anthropic's own wire names its events; what it said is passed on as it is.
            self._is_native = True
            return data
        for each in self._reader.feed(data):
            if not each.data.startswith(sse.DONE):
                self._read(answers.read(each.data))
        return self._taken()

    def finish(self) -> bytes:
        if self._is_native:
            return b""
        self._start(ChatAnswer())
        self._say_calls(self._calls.rest())
        self._close()
        stop = answers.stop_fields(self._ended, self._refusal, self._calls.has_any, self._asked)
        usage = answers.usage_fields(self._final_usage())
        self._say({"type": "message_delta", "delta": stop, "usage": usage})
        self._say({"type": "message_stop"})
        return self._taken()

    def _read(self, chunk: ChatAnswer) -> None:
        self._start(chunk)
        usage = read_usage(chunk.usage)
        if usage is not None:
            self._usage, self._has_figures = usage, True
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._read_choice(choice)

    def _read_choice(self, choice: Choice) -> None:
        said = choice.delta or Said()
        if said.thought:
            self._add("thinking", "thinking", "thinking_delta", said.thought)
        if text := said.text + (said.refusal or ""):
            self._refusal += said.refusal or ""
            self._add("text", "text", "text_delta", text)
        for fragment in said.tool_calls or ():
            self._pieces += 1
            self._say_calls(self._calls.feed(fragment))
        if choice.finish_reason:
            self._ended = choice

    def _start(self, first: ChatAnswer) -> None:
        if self._started:
            return
        self._started = True
        message: Fields = {
            **first.head(self._message_id),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": answers.usage_fields(self._usage),
        }
        self._say({"type": "message_start", "message": message})
        self._say({"type": "ping"})

    def _add(self, block: str, field: str, delta: str, text: str) -> None:
        """More of a text or a thought, in a block of its own if another kind is open."""
        self._pieces += 1
        self._text_bytes += len(text)
        if self._open != block:
            self._say_calls(self._calls.rest())
            signature = {"signature": ""} if block == "thinking" else {}
            self._start_block(block, {"type": block, field: "", **signature})
        self._say_delta({"type": delta, field: text})

    def _say_calls(self, told: Sequence[tuple[ToolCall, str]]) -> None:
        for call, arguments in told:
            if self._open != call.key:
                block = answers.tool_use(call.id, call.name, call.number)
                self._start_block(call.key, block)
            if arguments:
                self._text_bytes += len(arguments)
                self._say_delta({"type": "input_json_delta", "partial_json": arguments})

    def _start_block(self, kind: str, block: Fields) -> None:
        self._close()
        self._index += 1
        self._open = kind
        self._say({"type": "content_block_start", "index": self._index, "content_block": block})

    def _say_delta(self, delta: Fields) -> None:
        self._say({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self) -> None:
        if self._open:
            self._say({"type": "content_block_stop", "index": self._index})
        self._open = ""

    def _final_usage(self) -> Usage:
        if self._has_figures:
            return self._usage
        output = tokens.estimated_output(self._pieces, self._text_bytes)
        return Usage(input_tokens=self._usage.input_tokens, output_tokens=output)

    def _say(self, fields: dict[str, Any]) -> None:
        self._events.append(event(fields))

    def _taken(self) -> bytes:
        taken = b"".join(self._events)
        self._events.clear()
        return taken
