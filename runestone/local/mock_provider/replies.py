"""Answers as OpenAI's JSON: one reply, or the events of a stream, of chat or legacy completions.

Built from bytes and not from dicts: this is the path that benchmarks measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from time import time
from typing import NamedTuple

import msgspec

from runestone.local.mock_provider import errors
from runestone.local.mock_provider.answers import Answer
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.errors import BrokenOffError
from runestone.local.mock_provider.exchange import SSE
from runestone.local.mock_provider.framing import Framing
from runestone.local.mock_provider.prices import DEFAULT_TIER
from runestone.local.mock_provider.requests import StreamOptions
from runestone.local.mock_provider.scenarios import Scenario
from runestone.local.mock_provider.tools import Call

encode = msgspec.json.encode

REPLY = (
    b'{"id":"chatcmpl-%s","object":"chat.completion","created":%d,"model":%s,'
    b'"choices":[%s]%s,"service_tier":"default","system_fingerprint":"fp_mock"}'
)
TEXT_REPLY = (
    b'{"id":"cmpl-%s","object":"text_completion","created":%d,"model":%s,'
    b'"choices":[%s]%s,"system_fingerprint":"fp_mock"}'
)
CHOICE = b'{"index":%d,%s,"logprobs":null,"finish_reason":"%s"}'
SAID = b'"message":{"role":"assistant","content":%s,"refusal":%s,"annotations":[]}'
CALLED = (
    b'"message":{"role":"assistant","content":null,"refusal":null,"annotations":[],'
    b'"tool_calls":[%s]}'
)
TEXT = b'"text":%s'
USAGE = (
    b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
    b'"prompt_tokens_details":{"cached_tokens":%d,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)
TIER = b'"service_tier":"%s"'
TOOL_CALL = b'{"id":"%s","type":"function","function":{"name":%s,"arguments":%s}}'


def usage(line: Line, completion: int, reasoning: int) -> bytes:
    """The usage object."""
    prompt = line.prompt_tokens
    return USAGE % (prompt, completion, prompt + completion, line.cached_tokens, reasoning)


def whole(number: bytes, task: Task, usage: bytes | None) -> bytes:
    """The whole JSON reply; without usage the key is absent."""
    said, choice = task.wire.said, task.wire.choice
    choices = b",".join(
        choice % (index, said(made), made.finish_reason.encode())
        for index, made in enumerate(task.answers)
    )
    tail = b"" if usage is None else b',"usage":' + usage
    reply = task.wire.reply % (number, time(), encode(task.model), choices, tail)
    return _in_its_tier(reply, task)


def _in_its_tier(told: bytes, task: Task) -> bytes:
    if task.service_tier == DEFAULT_TIER:
        return told
    return told.replace(TIER % DEFAULT_TIER.encode(), TIER % task.service_tier.encode())


def _text(made: Answer) -> bytes:
    return TEXT % encode(made.echoed + made.text)


def _message(made: Answer) -> bytes:
    if made.calls:
        return CALLED % b",".join(map(_tool_call, made.calls))
    said = encode(made.text)
    return SAID % ((b"null", said) if made.refused else (said, b"null"))


def _tool_call(call: Call) -> bytes:
    return TOOL_CALL % (call.id.encode(), encode(call.name), encode(call.arguments))


class Event(NamedTuple):
    """One event of a stream: what it says, what it costs, when it comes."""

    payload: bytes
    tokens: int = 0
    reasoning: int = 0
    wait: float = 0
    last_token: bool = False  # Nothing after this event costs anything.
    failure: bool = False


class Delta(NamedTuple):
    """What one chunk adds to one choice."""

    body: bytes
    tokens: int = 0
    reasoning: int = 0
    finish: bytes = b"null"
    opens: bool = False  # It says that there is a choice, and nothing yet.


HEAD = (
    b'{"id":"chatcmpl-%s","object":"chat.completion.chunk","created":%d,"model":%s,'
    b'"service_tier":"default","system_fingerprint":"fp_mock",'
)
TEXT_HEAD = (
    b'{"id":"cmpl-%s","object":"text_completion","created":%d,"model":%s,'
    b'"system_fingerprint":"fp_mock",'
)
CHUNK = b'%s"choices":[{"index":%d,%s,"logprobs":null,"finish_reason":%s}]%s%s}'
LAST = b'%s"choices":[],"usage":%s%s}'
OPEN_TEXT = b'"delta":{"role":"assistant","content":"","refusal":null}'
OPEN_CALLS = b'"delta":{"role":"assistant","content":null}'
OPEN_CALL = (
    b'"delta":{"tool_calls":[{"index":%d,"id":"%s","type":"function",'
    b'"function":{"name":%s,"arguments":""}}]}'
)
FRAGMENT = b'"delta":{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}'
JUNK = b'{"id":"chatcmpl-'
# OpenAI pads chunks so that their lengths do not tell the words; ours pad for the shape.
PADDING = b"0123456789abcdef"


def deltas(made: Answer) -> Iterator[Delta]:
    """The chunks of one choice, in the order that OpenAI was recorded to send them."""
    opening = OPEN_CALLS if made.calls else OPEN_TEXT
    yield Delta(opening, made.reasoning, made.reasoning, opens=True)
    key = b'"delta":{"refusal":%s}' if made.refused else b'"delta":{"content":%s}'
    for piece in made.pieces:
        yield Delta(key % encode(piece), 1)
    for index, call in enumerate(made.calls):
        yield Delta(OPEN_CALL % (index, call.id.encode(), encode(call.name)), 1)
        for fragment in call.fragments:
            yield Delta(FRAGMENT % (index, encode(fragment)), 1)
    yield Delta(b'"delta":{}', finish=b'"%s"' % made.finish_reason.encode())


def text_deltas(made: Answer) -> Iterator[Delta]:
    """The chunks of one choice of a legacy completion."""
    if made.echoed or made.reasoning:
        yield Delta(TEXT % encode(made.echoed), made.reasoning, made.reasoning, opens=True)
    for piece in made.pieces:
        yield Delta(TEXT % encode(piece), 1)
    yield Delta(TEXT % b'""', finish=b'"%s"' % made.finish_reason.encode())


class Stream:
    """Turns answers into events, and goes wrong where the scenario says so."""

    def __init__(self, number: bytes, task: Task, line: Line, scenario: Scenario) -> None:
        options = task.stream_options or StreamOptions()
        self.task, self.line, self.scenario = task, line, scenario
        self.open = len(task.answers)
        self.reports = bool(options.include_usage) and not scenario.no_usage
        self.padded = options.include_obfuscation is not False
        self.head = self._head(number)
        self.completion = self.reasoning = 0

    def _head(self, number: bytes) -> bytes:
        task = self.task
        return _in_its_tier(task.wire.head % (number, time(), encode(task.model)), task)

    def events(self) -> Iterator[Event]:
        """The chunks, the usage and [DONE]."""
        yield from self._chunks()
        if self.reports:
            yield from self._usage()
        if not self.scenario.no_done:
            yield Event(b"[DONE]")

    def _chunks(self) -> Iterator[Event]:
        content, wait = 0, self.scenario.delay
        choices = map(self.task.wire.deltas, self.task.answers)
        for turn in zip_longest(*choices):
            for index, delta in enumerate(turn):
                if delta is None:
                    continue
                if self._breaks_at(delta, content):
                    yield from self._broken()
                yield self._chunk(index, delta, wait)
                if content == self.scenario.junk and delta.tokens:
                    yield Event(JUNK)
                content += delta.tokens - delta.reasoning
                wait = self.scenario.gap if delta.tokens else 0

    def _breaks_at(self, delta: Delta, content: int) -> bool:
        """A break comes after its chunk, or at the latest before the finish."""
        breaks_after = self.scenario.breaks_after
        if breaks_after is None or delta.opens:
            return False
        return content >= breaks_after or delta.finish != b"null"

    def _broken(self) -> Iterator[Event]:
        if self.scenario.cut is None:
            yield Event(self._failure(), failure=True)
        raise BrokenOffError

    def _failure(self) -> bytes:
        return errors.mid_stream(self.scenario).body

    def _chunk(self, index: int, delta: Delta, wait: float) -> Event:
        self.completion += delta.tokens
        self.reasoning += delta.reasoning
        usage, padding = self._running_usage(), self._padding(len(delta.body))
        payload = self.task.wire.chunk % (
            self.head,
            index,
            delta.body,
            delta.finish,
            usage,
            padding,
        )
        self.open -= delta.finish != b"null"
        done = self.open == 0
        return Event(payload, delta.tokens, delta.reasoning, wait, last_token=done)

    def _running_usage(self) -> bytes:
        if self.scenario.usage_every_chunk:
            return b',"usage":' + usage(self.line, self.completion, self.reasoning)
        return b',"usage":null' if self.reports else b""

    def _padding(self, length: int) -> bytes:
        if not self.padded:
            return b""
        return b',"obfuscation":"%s"' % PADDING[length % len(PADDING) :]

    def _usage(self) -> Iterator[Event]:
        report = usage(self.line, self.completion, self.reasoning)
        payload = LAST % (self.head, report, self._padding(len(report)))
        yield Event(payload, wait=self.scenario.late_usage)
        if self.scenario.usage_twice:
            yield Event(payload)


class Wire(NamedTuple):
    """How an endpoint words its answers: whole, in events, and on the line."""

    deltas: Callable[[Answer], Iterator[Delta]]
    # Templates, where the wire is OpenAI's.
    reply: bytes = REPLY
    head: bytes = HEAD
    said: Callable[[Answer], bytes] = _message
    choice: bytes = CHOICE
    chunk: bytes = CHUNK
    usage: Callable[[Line, int, int], bytes] = usage
    whole: Callable[[bytes, Task, bytes | None], bytes] = whole
    stream: type[Stream] = Stream
    framing: type[Framing] = Framing
    kind: tuple[bytes, bytes] = SSE


CHAT = Wire(deltas)
COMPLETION = Wire(text_deltas, TEXT_REPLY, TEXT_HEAD, _text)


class Task(NamedTuple):
    """What is to be answered, whatever endpoint asked."""

    wire: Wire
    model: str
    prompt_tokens: int
    answers: list[Answer]  # One for each choice.
    stream: bool
    stream_options: StreamOptions | None
    unseen: int = 0  # Completion tokens that were made and thrown away (best_of).
    service_tier: str = DEFAULT_TIER
