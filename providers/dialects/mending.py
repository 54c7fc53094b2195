"""What a vendor's answers lack for OpenAI's SDKs, mended on its way to the caller.

The SDKs join the pieces of a stream as OpenAI cuts them, which not every vendor does: they add text
to text, so a role that is repeated becomes "assistantassistant", and a tool call without an index
cannot be joined at all. A vendor's row names the mends that it needs (`Quirks.mend`). The answers
of all others pass as they are, unparsed.

Mending works on OpenAI's shape, behind any dialect, and never touches what the ledger hears. What
it does not understand stays as it was.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.dialects.base import (
    Answer,
    Dialect,
    Relayed,
    StreamRelay,
    Target,
    UpstreamRequest,
)
from providers.dialects.quirks import Mend, Quirks
from providers.wire import ModelCall
from runestone.lib import sse
from runestone.lib.errors import UpstreamError

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_PREFIX, _END = b"data: ", b"\n\n"


class Mended:
    """A dialect as one vendor speaks it, its answers mended."""

    def __init__(self, dialect: Dialect, quirks: Quirks) -> None:
        self._dialect = dialect
        self._quirks = quirks
        self.name = dialect.name
        self.operations = dialect.operations
        self.stream_type = dialect.stream_type
        self.request_id_header = dialect.request_id_header
        self.names_output_cap = dialect.names_output_cap

    def request(
        self, call: ModelCall, target: Target, *, output_tokens_max: int | None
    ) -> UpstreamRequest:
        return self._dialect.request(call, target, output_tokens_max=output_tokens_max)

    def answer(self, call: ModelCall, body: bytes) -> Answer:
        answer = self._dialect.answer(call, body)
        decoded = _object(answer.body)
        if decoded is None:
            return answer
        _mend_answer(decoded, self._quirks)
        return answer._replace(body=msgspec.json.encode(decoded))

    def relay(self, call: ModelCall) -> "MendedRelay":
        mender = _ChunkMender(self._quirks, wants_usage=call.request.wants_usage_chunk)
        return MendedRelay(self._dialect.relay(call), mender)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return self._dialect.error(status, headers, body)


class MendedRelay:
    """Mends the events that another relay gives, each of them whole."""

    def __init__(self, relay: StreamRelay, mender: "_ChunkMender") -> None:
        self._relay = relay
        self._mender = mender

    def feed(self, data: bytes) -> Relayed:
        relayed = self._relay.feed(data)
        return relayed._replace(data=self._mended(relayed.data)) if relayed.data else relayed

    def finish(self) -> bytes:
        return self._mended(self._relay.finish())

    def _mended(self, events: bytes) -> bytes:
        whole = (event + _END for event in events.split(_END) if event)
        return b"".join(mended for event in whole for mended in self._event(event))

    def _event(self, event: bytes) -> Iterator[bytes]:
        # The end is no chunk, and neither are events in Anthropic's words, which have a name.
        is_data = event.startswith(_PREFIX)
        chunk = _object(event.removeprefix(_PREFIX)) if is_data else None
        if chunk is None:
            yield event
            return
        for each in self._mender.mended(chunk):
            yield sse.encode(msgspec.json.encode(each))


class _ChunkMender:
    """Mends the chunks of one stream, and remembers what it has told of each choice."""

    def __init__(self, quirks: Quirks, *, wants_usage: bool) -> None:
        self._quirks = quirks
        self._wants_usage = wants_usage
        # By the choice's number.
        self._with_role: set[int] = set()
        self._calls: dict[int, _ToolCalls] = {}
        self._usage_told = False

    def mended(self, chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunk; and after it another, where usage has to come apart from it."""
        mend = self._quirks.mend
        for choice in _objects(chunk.get("choices")):
            _mend_finish_reason(choice, self._quirks)
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._mend_delta(delta, _number(choice.get("index")))
        if Mend.USAGE in mend:
            yield from self._usage_apart(chunk)
        else:
            yield chunk

    def _mend_delta(self, delta: dict[str, Any], choice: int) -> None:
        mend = self._quirks.mend
        if Mend.CONTENT in mend:
            _mend_content(delta)
        if Mend.ROLES in mend:
            if choice in self._with_role:
                delta.pop("role", None)
            else:
                delta.setdefault("role", "assistant")
            self._with_role.add(choice)
        if Mend.TOOL_CALLS in mend:
            calls = self._calls.setdefault(choice, _ToolCalls())
            for call in _tool_calls_of(delta):
                calls.mend(call)

    def _usage_apart(self, chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Usage beside a reason to finish comes after it, alone, and once; running usage stays."""
        choices = list(_objects(chunk.get("choices")))
        usage = _usage_in(chunk, choices)
        if usage is not None:
            _mend_figures(usage)
        if not choices:
            if usage is None or not self._usage_told:
                yield chunk
        elif not self._wants_usage:
            yield {name: value for name, value in chunk.items() if name != "usage"}
        elif usage is None or not any(choice.get("finish_reason") for choice in choices):
            yield {"usage": None, **chunk}
        else:
            self._usage_told = True
            yield {**chunk, "usage": None}
            yield {**chunk, "choices": [], "usage": usage}


class _ToolCalls:
    """The tool calls of one choice, in the order in which their ids were told."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        # The vendor's own index, where it has one, and ours.
        self._by_index: dict[int | None, int] = {}
        self._named: set[int] = set()

    def mend(self, call: dict[str, Any]) -> None:
        """Gives a fragment its index; what was told before is not told again."""
        theirs = call.get("index")
        theirs = theirs if isinstance(theirs, int) else None
        opens = self._opens(call.get("id"))
        ours = len(self._ids) - 1 if opens else self._known(call.get("id"), theirs)
        self._by_index[theirs] = ours
        call["index"] = ours
        if opens:
            call["type"] = call.get("type") or "function"
        else:
            call.pop("id", None)
            call.pop("type", None)
        if isinstance(function := call.get("function"), dict):
            self._mend_function(function, ours)

    def _opens(self, call_id: object) -> bool:
        if not isinstance(call_id, str) or not call_id or call_id in self._ids:
            return False
        self._ids.append(call_id)
        return True

    def _known(self, call_id: object, theirs: int | None) -> int:
        if isinstance(call_id, str) and call_id:
            return self._ids.index(call_id)
        return self._by_index.get(theirs, max(len(self._ids) - 1, 0))

    def _mend_function(self, function: dict[str, Any], ours: int) -> None:
        if not function.get("name") or ours in self._named:
            function.pop("name", None)
        else:
            self._named.add(ours)
        if function.get("arguments") is None:
            function["arguments"] = ""


def _mend_answer(answer: dict[str, Any], quirks: Quirks) -> None:
    for choice in _objects(answer.get("choices")):
        _mend_finish_reason(choice, quirks)
        message = choice.get("message")
        if not isinstance(message, dict):
            continue
        if Mend.CONTENT in quirks.mend:
            _mend_content(message)
            message.setdefault("refusal", None)
        if Mend.TOOL_CALLS in quirks.mend:
            for call in _tool_calls_of(message):
                _ToolCalls().mend(call)
                del call["index"]
    if Mend.USAGE in quirks.mend and isinstance(usage := answer.get("usage"), dict):
        _mend_figures(usage)


def _mend_finish_reason(choice: dict[str, Any], quirks: Quirks) -> None:
    reason = choice.get("finish_reason")
    if isinstance(reason, str):
        choice["finish_reason"] = quirks.finish_reasons.get(reason, reason)


def _mend_content(said: dict[str, Any]) -> None:
    """Parts become text; thinking among them becomes `reasoning_content`."""
    if not isinstance(parts := said.get("content"), list):
        return
    said["content"] = _texts(parts)
    thoughts = "".join(_texts(part.get("thinking")) for part in _objects(parts))
    if thoughts:
        said["reasoning_content"] = thoughts


def _tool_calls_of(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Where there are none, OpenAI does not say so."""
    if said.get("tool_calls", ()) is None:
        del said["tool_calls"]
    return _objects(said.get("tool_calls"))


def _texts(parts: object) -> str:
    if isinstance(parts, str):
        return parts
    texts = (part.get("text") for part in _objects(parts))
    return "".join(text for text in texts if isinstance(text, str))


def _usage_in(chunk: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of the chunk, of Groq's own place, or of a choice (older Moonshot)."""
    groq = chunk.get("x_groq")
    places = [chunk, *([groq] if isinstance(groq, dict) else ()), *choices]
    found = (place.get("usage") for place in places)
    return next((usage for usage in found if isinstance(usage, dict)), None)


def _mend_figures(usage: dict[str, Any]) -> None:
    """Cached tokens where OpenAI has them; Together and DeepSeek tell them flat."""
    flat = usage.get("cached_tokens", usage.get("prompt_cache_hit_tokens"))
    if flat is not None and not usage.get("prompt_tokens_details"):
        usage["prompt_tokens_details"] = {"cached_tokens": flat}


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        decoded = msgspec.json.decode(payload)
    except _UNREADABLE:
        return None
    return decoded if isinstance(decoded, dict) else None


def _objects(given: object) -> Iterator[dict[str, Any]]:
    """The objects in a list, if it is one."""
    if isinstance(given, list):
        yield from (each for each in given if isinstance(each, dict))


def _number(given: object) -> int:
    return given if isinstance(given, int) else 0
