"""A chat message, piece by piece, as output items.

Items are made one after the other: the next one to begin closes the one before. A whole answer is
one large piece, so that both ways of asking give the same items.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from api.responses import growing
from api.responses.chunks import Called, Delta, ToolDelta
from api.responses.growing import Event
from runestone.lib.errors import UpstreamBroken
from runestone.lib.ids import uuid7

COMPLETED = "completed"
INCOMPLETE = "incomplete"

# All of a response stays in memory until it has ended; a hundred times the longest real answer.
CHARACTERS_MAX = 32 * 1024 * 1024


class Output:
    """`item_id` names the item of a prefix at an index."""

    def __init__(self, item_id: Callable[[str, int], str]) -> None:
        self._item_id = item_id
        self._open: growing.Item | None = None
        # The index, as the provider counts its calls, of the one that is open.
        self._call_index: int | None = None
        self._calls_seen: set[int] = set()
        self._characters = 0
        # What is finished.
        self.items: list[dict[str, Any]] = []

    def add(self, delta: Delta, logprobs: Sequence[Any] = ()) -> Iterator[Event]:
        """Raises UpstreamBroken."""
        if thoughts := delta.thoughts():
            yield from self._speak(growing.Reasoning, "rs", "reasoning_text", thoughts)
        if words := delta.words():
            yield from self._speak(growing.Message, "msg", "output_text", words, logprobs)
        if delta.refusal:
            yield from self._speak(growing.Message, "msg", "refusal", delta.refusal)
        for annotation in delta.annotations or ():
            yield from self._annotate(annotation)
        for call in delta.tool_calls or ():
            yield from self._call(call)

    def close(self, status: str = COMPLETED) -> Iterator[Event]:
        """Ends the item that is open; the ones before it are complete in any case."""
        if self._open is not None:
            yield from self._open.close(status)
            self.items.append(self._open.finished(status))
            self._open = self._call_index = None

    def _speak(
        self,
        kind: type[growing.Spoken],
        prefix: str,
        part: str,
        piece: str,
        logprobs: Sequence[Any] = (),
    ) -> Iterator[Event]:
        self._count(piece)
        if not isinstance(self._open, kind):
            yield from self._begin(kind(*self._named(prefix)))
        if isinstance(self._open, growing.Spoken):
            yield from self._open.grow(part, piece, logprobs)

    def _annotate(self, annotation: Any) -> Iterator[Event]:
        flat = _flat(annotation)
        if flat is not None and isinstance(self._open, growing.Message):
            yield from self._open.annotate(flat)

    def _call(self, delta: ToolDelta) -> Iterator[Event]:
        index = self._index_of(delta)
        called = delta.custom or delta.function or Called()
        if index != self._call_index:
            if index in self._calls_seen:
                raise UpstreamBroken("The provider mixed the fragments of its tool calls.")
            yield from self._begin_call(delta, called, index)
        piece = _text(called.input if delta.custom else called.arguments)
        self._count(piece)
        if piece and isinstance(self._open, growing.Call):
            yield from self._open.grow(piece)

    def _count(self, piece: str) -> None:
        self._characters += len(piece)
        if self._characters > CHARACTERS_MAX:
            raise UpstreamBroken("The provider's answer is too long for a response.")

    def _index_of(self, delta: ToolDelta) -> int:
        """Some vendors give whole calls without an index, each with an id."""
        if delta.index is not None:
            return delta.index
        if delta.id is None and self._call_index is not None:
            return self._call_index
        return max(self._calls_seen, default=-1) + 1

    def _begin_call(self, delta: ToolDelta, called: Called, index: int) -> Iterator[Event]:
        kind, prefix = (growing.CustomCall, "ctc") if delta.custom else (growing.Call, "fc")
        # Ollama's calls have no ids; the caller needs one to answer by.
        call_id = delta.id or f"call_{uuid7().hex}"
        yield from self._begin(kind(*self._named(prefix), call_id, called.name or ""))
        self._call_index = index
        self._calls_seen.add(index)

    def _begin(self, item: growing.Item) -> Iterator[Event]:
        yield from self.close()
        # Named before the close, it has its index already.
        self._open = item
        yield from item.open()

    def _named(self, prefix: str) -> tuple[str, int]:
        index = len(self.items) + (self._open is not None)
        return self._item_id(prefix, index), index


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _flat(annotation: Any) -> dict[str, Any] | None:
    """Nested there, flat here."""
    if not isinstance(annotation, dict):
        return None
    cited = annotation.get("url_citation")
    return {"type": "url_citation", **cited} if isinstance(cited, dict) else None
