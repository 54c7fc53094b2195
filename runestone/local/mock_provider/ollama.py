"""Ollama's own API: POST /api/chat, POST /api/embed, GET /api/tags.

A stream, which is what a call gets that does not ask otherwise, is a JSON object a line. Of the
prompt's tokens nothing is told if some came from the cache.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from runestone.local.mock_provider import chat as chats
from runestone.local.mock_provider import embeddings as vectors
from runestone.local.mock_provider import errors, requests
from runestone.local.mock_provider.answers import Answer
from runestone.local.mock_provider.bill import Line
from runestone.local.mock_provider.errors import ProviderError
from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.framing import Lines
from runestone.local.mock_provider.prices import PriceTable
from runestone.local.mock_provider.provider import Provider
from runestone.local.mock_provider.replies import Delta, Event, Stream, Task, Wire, encode
from runestone.local.mock_provider.requests import ChatRequest, Message, tokens
from runestone.local.mock_provider.tools import Call

NDJSON = (b"content-type", b"application/x-ndjson")

LINE = b'{"model":%s,"created_at":"%s","message":{"role":"assistant",%s},"done":false}'
LAST = (
    b'{"model":%s,"created_at":"%s","message":{"role":"assistant",%s},"done":true,'
    b'"done_reason":"%s","total_duration":3000000,"load_duration":1000000%s}'
)
SAID = b'"content":%s'
CALLED = b'"content":"","tool_calls":[%s]'
THOUGHT = b'"content":"","thinking":%s'
CALL = b'{"function":{"name":%s,"arguments":%s}}'
COUNTS = b',"prompt_eval_count":%d,"eval_count":%d'
EVALUATED = b',"eval_count":%d'
EMBEDDED = b'{"model":%s,"embeddings":[%s],"total_duration":3000000,"prompt_eval_count":%d}'
REASONS = {"tool_calls": "stop"}


class ModelOptions(msgspec.Struct):
    """What the mock obeys of the options."""

    num_predict: int | None = None
    stop: list[str] | None = None


class Turn(msgspec.Struct):
    """One message."""

    role: str
    content: str = ""
    images: list[str] | None = None


class OllamaRequest(msgspec.Struct):
    """POST /api/chat."""

    model: str
    messages: list[Turn]
    stream: bool | None = None
    tools: msgspec.Raw = requests.NULL
    options: ModelOptions | None = None


class EmbedRequest(msgspec.Struct):
    """POST /api/embed."""

    model: str
    input: str | list[str]
    dimensions: int | None = None


async def chat(exchange: Exchange, provider: Provider) -> None:
    """Read, and answer as the mock answers any chat."""
    try:
        body = await exchange.body()
        request = _decoded(body, OllamaRequest)
        await chats.answer(exchange, provider, _as_chat(request), WIRE, body)
    except ProviderError as error:
        error.error = str(error)
        raise


async def embed(exchange: Exchange, provider: Provider) -> None:
    """Read, fail if so asked, else bill and answer."""
    try:
        request = _decoded(await exchange.body(), EmbedRequest)
        scenario = provider.scenario(exchange, request.model)
        if await chats.fail_before_work(exchange, scenario, request.model):
            return
        await exchange.pause(scenario.slow_headers + scenario.delay)
    except ProviderError as error:
        error.error = str(error)
        raise
    texts = [request.input] if isinstance(request.input, str) else request.input
    line = vectors.charged(exchange, provider, request.model, sum(map(tokens, texts)) or 1)
    size = vectors.dimensions(request.model, request.dimensions)
    found = b",".join(vectors.vector(text, size, False) for text in texts)
    await exchange.json(EMBEDDED % (encode(request.model), found, line.prompt_tokens))


def tags(prices: PriceTable) -> bytes:
    """GET /api/tags: every model with a price."""
    models = [{"name": name, "model": name, "size": 1, "digest": name} for name in prices.by_model]
    return encode({"models": models})


Request = TypeVar("Request", OllamaRequest, EmbedRequest)


def _decoded(body: bytes, kind: type[Request]) -> Request:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as slip:
        raise ProviderError(400, str(slip)) from None


def _as_chat(request: OllamaRequest) -> ChatRequest:
    options = request.options or ModelOptions()
    for turn in request.messages:
        for image in turn.images or ():
            _check_image(image)
    return ChatRequest(
        request.model,
        [Message(turn.role, turn.content) for turn in request.messages],
        stream=request.stream is not False,
        max_tokens=options.num_predict,
        stop=options.stop,
        tools=request.tools,
    )


def _check_image(image: str) -> None:
    try:
        b64decode(image, validate=True)
    except NotBase64:
        raise ProviderError(400, "illegal base64 data at input byte 4") from None


# Answers.


def usage(line: Line, completion: int, reasoning: int) -> bytes:
    """The counts, which stand among the fields of an answer."""
    if line.cached_tokens:
        return EVALUATED % completion
    return COUNTS % (line.prompt_tokens, completion)


def whole(number: bytes, task: Task, usage: bytes | None) -> bytes:
    """The whole JSON reply."""
    [made] = task.answers
    said = CALLED % b",".join(map(_call, made.calls)) if made.calls else SAID % encode(made.text)
    if made.reasoning:
        said += b',"thinking":' + encode(_thoughts(made))
    return LAST % (encode(task.model), _now(), said, _reason(made.finish_reason), usage or b"")


def deltas(made: Answer) -> Iterator[Delta]:
    """The lines of an answer; a tool is called in one."""
    if made.reasoning:
        thought = THOUGHT % encode(_thoughts(made))
        yield Delta(thought, made.reasoning, made.reasoning, opens=True)
    for piece in made.pieces:
        yield Delta(SAID % encode(piece), 1)
    for call in made.calls:
        yield Delta(CALLED % _call(call), call.tokens)
    yield Delta(SAID % b'""', finish=_reason(made.finish_reason))


class LineStream(Stream):
    """Turns an answer into lines, of which the last has the counts."""

    def events(self) -> Iterator[Event]:
        """The lines. Nothing comes after the one that is `done`."""
        yield from self._chunks()

    def _head(self, number: bytes) -> bytes:
        return encode(self.task.model)

    def _chunk(self, index: int, delta: Delta, wait: float) -> Event:
        self.completion += delta.tokens
        self.reasoning += delta.reasoning
        done = delta.finish != b"null"
        if done:
            payload = LAST % (self.head, _now(), delta.body, delta.finish, self._counts())
        else:
            payload = LINE % (self.head, _now(), delta.body)
        return Event(payload, delta.tokens, delta.reasoning, wait, last_token=done)

    def _counts(self) -> bytes:
        if self.scenario.no_usage:
            return b""
        return usage(self.line, self.completion, self.reasoning)

    def _failure(self) -> bytes:
        return encode({"error": str(errors.mid_stream(self.scenario))})


WIRE = Wire(deltas, usage=usage, whole=whole, stream=LineStream, framing=Lines, kind=NDJSON)


def _call(call: Call) -> bytes:
    # Arguments that were cut short are no object, and are not told.
    try:
        arguments = encode(msgspec.json.decode(call.arguments))
    except msgspec.DecodeError:
        arguments = b"{}"
    return CALL % (encode(call.name), arguments)


def _thoughts(made: Answer) -> str:
    return " ".join(["hm"] * made.reasoning)


def _reason(finish_reason: str) -> bytes:
    return REASONS.get(finish_reason, finish_reason).encode()


def _now() -> bytes:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
