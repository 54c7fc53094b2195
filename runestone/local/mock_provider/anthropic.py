"""Anthropic's own API: POST /v1/messages.

A request is read as the chat that it stands for and answered as the mock answers any chat; only the
words are others. As strict as the original where a gateway could err: fields that it does not know,
a version that is not named, and thoughts that come back with another signature are refused.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from runestone.local.mock_provider import errors
from runestone.local.mock_provider.answers import Answer, answers, prompt_tokens
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.chat import fail_before_work
from runestone.local.mock_provider.errors import ProviderError
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.framing import Framing
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import Delta, Event, Stream, Task, Wire, encode
from runestone.local.mock_provider.requests import ChatRequest, Message, StreamOptions
from runestone.local.mock_provider.scenarios import NORMAL, Scenario
from runestone.local.mock_provider.tools import Call
from runestone.local.mock_provider.work import Work

PATH = "/v1/messages"
# Of each image, whatever its size.
IMAGE_TOKENS = 100
# Hidden in an answer to a call that asks for thinking, if the scenario says nothing else.
THINKING_TOKENS = 8

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class Block(msgspec.Struct):
    """A block of content; of a tool's result, the content is in it."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    content: str | list[Block] | None = None


Content = str | list[Block]


class Turn(msgspec.Struct):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: Content


class ToolSpec(msgspec.Struct):
    """A tool."""

    name: str
    input_schema: dict[str, Any]


class Choice(msgspec.Struct, frozen=True):
    """How to choose among the tools."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""


class Thinking(msgspec.Struct, frozen=True):
    """Whether to think."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Annotated[int, Meta(ge=1024)] | None = None


class MessagesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/messages."""

    model: str
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: Content = ""
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: Annotated[float, Meta(ge=0, le=1)] = 1
    top_p: float = 1
    top_k: int | None = None
    tools: list[ToolSpec] = []
    tool_choice: Choice = Choice("auto")
    thinking: Thinking = Thinking("disabled")
    output_config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    cache_control: dict[str, Any] | None = None


_request = msgspec.json.Decoder(MessagesRequest)


async def messages(exchange: Exchange, provider: Provider) -> None:
    """Read, decide, fail if so asked, else answer."""
    exchange.marks = [(b"request-id", exchange.request_id.encode())]
    if exchange.header(b"anthropic-version") is None:
        raise ProviderError(400, "anthropic-version: header is required")
    body = await exchange.body()
    request = _decoded(body)
    scenario = provider.scenario(exchange, request.model)
    if scenario is not NORMAL:
        exchange.deaf = scenario.deaf
        if await fail_before_work(exchange, scenario, request.model):
            return
    if request.thinking.type != "disabled" and not scenario.reasoning:
        scenario = msgspec.structs.replace(scenario, reasoning=THINKING_TOKENS)
    asked = _as_chat(request)
    prompt = prompt_tokens(asked) + IMAGE_TOKENS * _images(request)
    if scenario.mirror:
        asked.messages.append(Message("user", body.decode()))
    made = answers(asked, scenario)
    work = Work(exchange, provider, _task(request, prompt, made), scenario)
    _write(work.line, scenario)
    await work.run()


def _write(line: Line, scenario: Scenario) -> None:
    """Of what did not come from the cache, some is written to it."""
    fresh = line.prompt_tokens - line.cached_tokens
    line.written_tokens = min(scenario.written, fresh)
    line.written_1h_tokens = min(scenario.written_1h, fresh - line.written_tokens)


def faced(error: ProviderError, exchange: Exchange) -> ProviderError:
    """The same error with Anthropic's face."""
    kind = TYPES.get(error.status, "api_error")
    message = "invalid x-api-key" if error.status == 401 else str(error)
    return MessagesError(error, {"type": kind, "message": message}, exchange.request_id)


class MessagesError(ProviderError):
    """An error in Anthropic's shape."""

    def __init__(self, error: ProviderError, face: dict[str, str], request_id: str) -> None:
        super().__init__(error.status, str(error), headers=error.headers)
        self.error = face
        self.request_id = request_id

    @property
    def body(self) -> bytes:
        """The JSON body, as Anthropic words it."""
        return encode({"type": "error", "error": self.error, "request_id": self.request_id})


# Requests.


def _decoded(body: bytes) -> MessagesRequest:
    try:
        request = _request.decode(body)
    except msgspec.ValidationError as slip:
        raise ProviderError(400, str(slip)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProviderError(400, "The request body is not valid JSON") from None
    for turn in request.messages:
        for block in _blocks(turn.content):
            if block.type == "thinking" and block.signature != signature(block.thinking):
                raise ProviderError(400, "messages: Invalid `signature` in `thinking` block")
    budget = request.thinking.budget_tokens
    if budget is not None and budget >= request.max_tokens:
        raise ProviderError(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
    return request


def _as_chat(request: MessagesRequest) -> ChatRequest:
    told = [Message("system", _text(request.system))]
    for turn in request.messages:
        results = [block for block in _blocks(turn.content) if block.type == "tool_result"]
        told += [Message("tool", _text(block.content or "")) for block in results]
        if len(results) < len(_blocks(turn.content)) or not results:
            told.append(Message(turn.role, _text(turn.content)))
    return ChatRequest(
        request.model,
        told,
        max_tokens=request.max_tokens,
        stop=request.stop_sequences,
        tools=Raw(encode([_function(tool) for tool in request.tools])),
        tool_choice=Raw(encode(_choice(request.tool_choice))),
    )


def _blocks(content: Content) -> list[Block]:
    return [Block("text", content)] if isinstance(content, str) else content


def _text(content: Content) -> str:
    return " ".join(block.text for block in _blocks(content) if block.text)


def _images(request: MessagesRequest) -> int:
    blocks = [block for turn in request.messages for block in _blocks(turn.content)]
    within = [each for block in blocks for each in _blocks(block.content or "")]
    return sum(block.type == "image" for block in blocks + within)


def _function(tool: ToolSpec) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool.name, "parameters": tool.input_schema}}


def _choice(choice: Choice) -> Any:
    if choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice.type == "any" else choice.type


def _task(request: MessagesRequest, prompt: int, made: list[Answer]) -> Task:
    if request.tool_choice.type == "none":
        made = [msgspec.structs.replace(each, calls=[]) for each in made]
    # Usage is always told, and nothing is padded.
    options = StreamOptions(include_usage=True, include_obfuscation=False)
    return Task(WIRE, request.model, prompt, made, request.stream, options)


# Answers.

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
