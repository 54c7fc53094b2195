"""OpenAI's own wire: nothing to translate, so bytes pass on; only what carries usage is parsed."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from providers.dialects.base import Answer, Relayed, Target, UpstreamRequest
from providers.dialects.quirks import NO_QUIRKS, fitted
from providers.dialects.refusals import refusal, refusal_in
from providers.wire import (
    CHAT,
    COMPLETION,
    EMBEDDING,
    MODERATION,
    OWN_FIELDS,
    CompletionChunk,
    ModelAnswer,
    ModelCall,
    ModelRequest,
    Operation,
    UsageFigures,
)
from runestone.lib import sse
from runestone.lib.errors import UpstreamBroken, UpstreamError
from runestone.lib.usage import STANDARD, Usage

_answer = msgspec.json.Decoder(ModelAnswer)
_chunk = msgspec.json.Decoder(CompletionChunk)
# What vendors call the tier that has no price of its own; "auto" and none say nothing else.
_STANDARD_TIERS = (None, "auto", "default", "standard", "on_demand")
_true = msgspec.Raw(b"true")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OpenAIDialect:
    name: ClassVar[str] = "openai"
    operations: ClassVar[frozenset[Operation]] = frozenset(
        {CHAT, COMPLETION, EMBEDDING, MODERATION}
    )
    stream_type: ClassVar[str] = sse.MEDIA_TYPE
    request_id_header: ClassVar[str] = "x-request-id"
    names_output_cap: ClassVar[bool] = False

    def request(
        self, call: ModelCall, target: Target, *, output_tokens_max: int | None
    ) -> UpstreamRequest:
        fields = {name: value for name, value in call.fields.items() if name not in OWN_FIELDS}
        fields["model"] = _raw(target.upstream_model)
        if call.request.streams:
            fields["stream_options"] = _with_usage(fields.get("stream_options"))
        if output_tokens_max is not None:
            fields[call.operation.output_cap_field] = _raw(output_tokens_max)
        quirks = target.quirks
        if quirks is not NO_QUIRKS:
            fields = fitted(fields, quirks)
        headers = {"content-type": "application/json", **self.authorization(target)}
        headers |= quirks.headers
        # Encoding anew, even where nothing changed, leaves one meaning: a body that names `model`
        # twice could otherwise be held for one model and billed for another.
        url = self.url(call.operation, target)
        return UpstreamRequest(url, headers, msgspec.json.encode(fields))

    def url(self, operation: Operation, target: Target) -> str:
        return target.quirks.url(target.base_url + operation.path)

    def authorization(self, target: Target) -> dict[str, str]:
        return {"authorization": f"Bearer {target.credential}"} if target.credential else {}

    def answer(self, call: ModelCall, body: bytes) -> Answer:
        try:
            answer = _answer.decode(body)
        except _UNREADABLE:
            raise UpstreamBroken("The provider's answer is not what was asked for.") from None
        if answer.error:
            raise self.failure(answer.error)
        if getattr(answer, call.operation.answer) is None:
            raise UpstreamBroken("The provider's answer is not what was asked for.")
        usage = read_usage(
            answer.usage,
            service_tier=answer.service_tier,
            web_searches=call.request.web_searches,
        )
        return Answer(body, usage)

    def relay(self, call: ModelCall) -> "OpenAIRelay":
        return OpenAIRelay(call.request)

    def failure(self, detail: Any) -> UpstreamError:
        """An error under a 200."""
        return refusal(502, {}, detail)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return refusal_in(status, headers, body)


class OpenAIRelay:
    """Passes events on as they are, and notices usage, errors and the end."""

    # A JSON string cannot contain these unescaped, so a match is the field itself.
    _output = re.compile(
        rb'"(?:content|text|arguments|refusal|reasoning|reasoning_content)": ?"((?:[^"\\]|\\.)+)"'
    )

    # Usage, or a reason to finish, that is not null.
    _told = re.compile(rb'"usage": ?\{|"finish_reason": ?"')

    def __init__(self, request: ModelRequest) -> None:
        self._reader = sse.Reader()
        self._wants_usage_chunk = request.wants_usage_chunk
        self._choices = request.choices
        self._web_searches = request.web_searches
        # Which choices have named their finish_reason.
        self._finished: set[int] = set()
        self._done = False
        # Of the data being fed.
        self._usage: Usage | None = None
        self._pieces = 0
        self._text_bytes = 0

    def feed(self, data: bytes) -> Relayed:
        events: list[bytes] = []
        failure: UpstreamError | None = None
        self._usage = None
        self._pieces = self._text_bytes = 0
        try:
            for event in self._reader.feed(data):
                if event.data.startswith(sse.DONE):
                    events.append(sse.encode(sse.DONE))
                    self._done = True
                    break
                payload = self._relayed(event.data)
                if payload is not None:
                    events.append(sse.encode(payload))
        except UpstreamError as error:
            failure = error
        return Relayed(
            b"".join(events), self._usage, self._pieces, self._text_bytes, self._done, failure
        )

    def finish(self) -> bytes:
        if len(self._finished) < self._choices or not self._reader.is_between_events:
            raise UpstreamBroken("The provider's stream was cut off before its end.")
        # Some vendors end without saying so; the SDKs want it said.
        return sse.encode(sse.DONE)

    def _relayed(self, payload: bytes) -> bytes | None:
        """The event's payload as the caller gets it; None if it is not for the caller."""
        if not (payload.startswith(b"{") and payload.rstrip().endswith(b"}")):
            raise UpstreamBroken("The provider sent an event that is not JSON.")
        # JSON may span several data lines; between its tokens a line end is only white space.
        payload = payload.replace(b"\n", b" ")
        if (output := self._output.search(payload)) is not None:
            self._pieces += 1
            self._text_bytes += len(output[1])
        if self._says_more_than_output(payload):
            chunk = _decoded(payload)
            self._finished |= {
                choice.index for choice in chunk.choices or () if choice.finish_reason
            }
            if chunk.figures is not None:
                self._usage = read_usage(
                    chunk.figures,
                    service_tier=chunk.service_tier,
                    web_searches=self._web_searches,
                )
            if chunk.error:
                raise refusal(502, {}, chunk.error)
            if chunk.usage is not None and not chunk.choices and not self._wants_usage_chunk:
                return None
        if not self._wants_usage_chunk:
            # We asked for usage; the caller did not, and gets what it would have got.
            payload = payload.replace(b',"usage":null', b"")
        return payload

    def _says_more_than_output(self, payload: bytes) -> bool:
        return self._told.search(payload) is not None or b'"error":' in payload


def _decoded(payload: bytes) -> CompletionChunk:
    try:
        return _chunk.decode(payload)
    except _UNREADABLE:
        raise UpstreamBroken("The provider sent an event that we cannot read.") from None


def read_usage(
    figures: UsageFigures | None, *, service_tier: str | None = None, web_searches: int = 0
) -> Usage | None:
    """The provider's figures as `Usage`; None if it gave none, or none that can be true.

    `service_tier` is the one that it says served the call.
    """
    if figures is None or figures.prompt_tokens is None:
        return None
    prompt = figures.prompt_tokens_details
    completion = figures.completion_tokens_details
    usage = {
        "input_tokens": figures.prompt_tokens,
        "output_tokens": figures.completion_tokens or 0,
        "cached_input_tokens": (prompt and prompt.cached_tokens) or figures.cached_flat or 0,
        "cache_write_tokens": (prompt and prompt.cache_write_tokens) or 0,
        "input_audio_tokens": (prompt and prompt.audio_tokens) or 0,
        "reasoning_tokens": (completion and completion.reasoning_tokens) or 0,
        "output_audio_tokens": (completion and completion.audio_tokens) or 0,
        "web_searches": web_searches,
        "service_tier": STANDARD if service_tier in _STANDARD_TIERS else service_tier,
    }
    try:
        return msgspec.convert(usage, Usage)
    except msgspec.ValidationError:
        return None


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _with_usage(stream_options: msgspec.Raw | None) -> msgspec.Raw:
    asked = msgspec.json.decode(stream_options or b"null", type=dict[str, msgspec.Raw] | None)
    return _raw({**(asked or {}), "include_usage": _true})
