"""Answers as Anthropic's JSON: a message, or the events of a stream."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from runestone.local.mock_provider import errors
from runestone.local.mock_provider.answers import Answer
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.framing import Framing
from runestone.local.mock_provider.replies import Delta, Event, Stream, Task, Wire, encode
from runestone.local.mock_provider.scenarios import Scenario
from runestone.local.mock_provider.tools import Call

REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

MESSAGE = (
    b'{"id":"msg_%s","type":"message","role":"assistant","model":%s,"content":[%s],'
    b'"stop_reason":%s,"stop_sequence":%s,"stop_details":%s%s}'
)
USAGE = (
    b'{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    b'"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},'
    b'"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d},'
    b'"service_tier":"standard"}'
)
START = b'{"type":"message_start","message":%s}'
BLOCK_START = b'{"type":"content_block_start","index":%d,"content_block":%s}'
BLOCK_DELTA = b'{"type":"content_block_delta","index":%d,"delta":%s}'
BLOCK_STOP = b'{"type":"content_block_stop","index":%d}'
MESSAGE_DELTA = (
    b'{"type":"message_delta","delta":{"stop_reason":%s,"stop_sequence":%s,"stop_details":%s}%s}'
)
MESSAGE_STOP = b'{"type":"message_stop"}'
PING = b'{"type": "ping"}'
TEXT = b'{"type":"text","text":%s}'
TEXT_DELTA = b'{"type":"text_delta","text":%s}'
THOUGHT = b'{"type":"thinking","thinking":%s,"signature":%s}'
THOUGHT_DELTA = b'{"type":"thinking_delta","thinking":%s}'
SIGNATURE_DELTA = b'{"type":"signature_delta","signature":%s}'
TOOL_USE = b'{"type":"tool_use","id":%s,"name":%s,"input":%s}'
INPUT_DELTA = b'{"type":"input_json_delta","partial_json":%s}'
EMPTY = b'""'
NULL = b"null"


def signature(thinking: str) -> str:
    """Vouches for a thought, which must come back unchanged."""
    return b64encode(sha256(thinking.encode()).digest()).decode()


def usage(line: Line, completion: int, reasoning: int) -> bytes:
    """The usage object: its input leaves out what the cache read or wrote."""
    cached, written, for_an_hour = line.cached_tokens, line.written_tokens, line.written_1h_tokens
    fresh = line.prompt_tokens - cached - written - for_an_hour
    return USAGE % (
        fresh,
        written + for_an_hour,
        cached,
        written,
        for_an_hour,
        completion,
        reasoning,
    )


def whole(number: bytes, task: Task, usage: bytes | None) -> bytes:
    """The whole JSON reply."""
    [made] = task.answers
    content = b",".join(_content(made))
    return MESSAGE % (number, encode(task.model), content, *_ending(made), _told(usage))


def _told(usage: bytes | None) -> bytes:
    return b"" if usage is None else b',"usage":' + usage


def _content(made: Answer) -> Iterator[bytes]:
    if made.reasoning:
        thought = _thought(made)
        yield THOUGHT % (encode(thought), encode(signature(thought)))
    if made.text and not made.refused:
        yield TEXT % encode(made.text)
    for call in made.calls:
        yield _tool_use(call, _input(call))


def _ending(made: Answer) -> tuple[bytes, bytes, bytes]:
    """stop_reason, stop_sequence, stop_details."""
    if made.refused:
        details = {"type": "refusal", "category": None, "explanation": made.text}
        return b'"refusal"', NULL, encode(details)
    if made.finish_reason == "stop" and made.stopped_by:
        return b'"stop_sequence"', encode(made.stopped_by), NULL
    return encode(REASONS.get(made.finish_reason, made.finish_reason)), NULL, NULL


def _thought(made: Answer) -> str:
    return " ".join(["hm"] * made.reasoning)


def _tool_use(call: Call, given: bytes) -> bytes:
    call_id = call.id.replace("call_", "toolu_")
    return TOOL_USE % (encode(call_id), encode(call.name), given)


def _input(call: Call) -> bytes:
    # Arguments that were cut short are no object, and are not told.
    try:
        return encode(msgspec.json.decode(call.arguments))
    except msgspec.DecodeError:
        return b"{}"


def deltas(made: Answer) -> Iterator[Delta]:
    """The events of the blocks, in the order that Anthropic was recorded to send them."""
    index = 0
    if made.reasoning:
        yield Delta(BLOCK_START % (index, THOUGHT % (EMPTY, EMPTY)), opens=True)
        thought = _thought(made)
        told = BLOCK_DELTA % (index, THOUGHT_DELTA % encode(thought))
        yield Delta(told, made.reasoning, made.reasoning, opens=True)
        yield Delta(BLOCK_DELTA % (index, SIGNATURE_DELTA % encode(signature(thought))))
        yield Delta(BLOCK_STOP % index)
        index += 1
    if made.text and not made.refused:
        yield Delta(BLOCK_START % (index, TEXT % EMPTY), opens=True)
        for piece in made.pieces:
            yield Delta(BLOCK_DELTA % (index, TEXT_DELTA % encode(piece)), 1)
        yield Delta(BLOCK_STOP % index)
        index += 1
    for number, call in enumerate(made.calls, index):
        yield Delta(BLOCK_START % (number, _tool_use(call, b"{}")), 1)
        for fragment in call.fragments:
            yield Delta(BLOCK_DELTA % (number, INPUT_DELTA % encode(fragment)), 1)
        yield Delta(BLOCK_STOP % number)
    # The words of a refusal are not shown, but they were made.
    yield Delta(b"", len(made.pieces) if made.refused else 0, finish=made.finish_reason.encode())


class MessageStream(Stream):
    """Turns an answer into Anthropic's events."""

    def __init__(self, number: bytes, task: Task, line: Line, scenario: Scenario) -> None:
        super().__init__(number, task, line, scenario)
        self.number = number

    def events(self) -> Iterator[Event]:
        """The message's start, its blocks and its end."""
        model, usage = encode(self.task.model), self._usage_told()
        message = MESSAGE % (self.number, model, b"", NULL, NULL, NULL, usage)
        chunks = self._chunks()
        first = next(chunks)
        yield Event(START % message, wait=first.wait)
        yield first._replace(wait=0)
        yield Event(PING)
        yield from chunks
        if not self.scenario.no_done:
            yield Event(MESSAGE_STOP)

    def _chunk(self, index: int, delta: Delta, wait: float) -> Event:
        self.completion += delta.tokens
        self.reasoning += delta.reasoning
        if delta.finish == NULL:
            return Event(delta.body, delta.tokens, delta.reasoning, wait)
        ending = MESSAGE_DELTA % (*_ending(self.task.answers[index]), self._usage_told())
        wait = max(wait, self.scenario.late_usage)
        return Event(ending, delta.tokens, wait=wait, last_token=True)

    def _usage_told(self) -> bytes:
        if self.scenario.no_usage:
            return b""
        # At the start one token is counted, as Anthropic does.
        return _told(usage(self.line, self.completion or 1, self.reasoning))

    def _failure(self) -> bytes:
        error = {
            "type": self.scenario.type or "api_error",
            "message": self.scenario.message or str(errors.mid_stream(self.scenario)),
        }
        return encode({"type": "error", "error": error})


class NamedEvents(Framing):
    """Writes events with their names."""

    prefix = b"event: "
    type_of = re.compile(rb'\{"type": ?"(\w+)"')

    async def write(self, payload: bytes) -> None:
        """Write one event."""
        found = self.type_of.match(payload)
        name = found[1] if found else b"content_block_delta"
        newline = self.after[: len(self.after) // self.lines]
        await super().write(name + newline + b"data: " + payload)


WIRE = Wire(
    reply=MESSAGE,
    head=b'{"id":"%s","created":%d,"model":%s}',
    said=lambda made: b",".join(_content(made)),
    deltas=deltas,
    usage=usage,
    whole=whole,
    stream=MessageStream,
    framing=NamedEvents,
)
