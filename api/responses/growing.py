"""Output items while they grow: each step says, as events, what it changed."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Event(NamedTuple):
    type: str
    fields: dict[str, Any]


class Part:
    """One part of an item's content: a text that comes in pieces."""

    # Of each type: the field of its text, and its events' name.
    _KINDS = {
        "output_text": ("text", "response.output_text"),
        "refusal": ("refusal", "response.refusal"),
        "reasoning_text": ("text", "response.reasoning_text"),
    }

    def __init__(self, type: str, place: dict[str, Any]) -> None:  # noqa: A002 -- the wire's name
        self.type = type
        self._place = place
        self._field, self._event = self._KINDS[type]
        self._pieces: list[str] = []
        self._logprobs: list[Any] = []
        self._annotations: list[Any] = []

    def finished(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": self.type, self._field: "".join(self._pieces)}
        if self.type == "output_text":
            made |= {"annotations": list(self._annotations), "logprobs": list(self._logprobs)}
        return made

    def open(self) -> Iterator[Event]:
        yield Event("response.content_part.added", {**self._place, "part": self.finished()})

    def grow(self, piece: str, logprobs: Sequence[Any]) -> Iterator[Event]:
        self._pieces.append(piece)
        self._logprobs += logprobs
        yield Event(f"{self._event}.delta", self._named({"delta": piece}, logprobs))

    def annotate(self, annotation: dict[str, Any]) -> Iterator[Event]:
        self._annotations.append(annotation)
        number = len(self._annotations) - 1
        fields = {**self._place, "annotation_index": number, "annotation": annotation}
        yield Event("response.output_text.annotation.added", fields)

    def close(self) -> Iterator[Event]:
        made = self.finished()
        said = {self._field: made[self._field]}
        yield Event(f"{self._event}.done", self._named(said, self._logprobs))
        yield Event("response.content_part.done", {**self._place, "part": made})

    def _named(self, fields: dict[str, Any], logprobs: Sequence[Any]) -> dict[str, Any]:
        named = {**self._place, **fields}
        if self.type == "output_text":
            named["logprobs"] = list(logprobs)
        return named


class Item:
    """An output item. Subclasses say what is in it."""

    def __init__(self, id: str, output_index: int) -> None:  # noqa: A002 -- the wire's own name
        self.id = id
        self.output_index = output_index

    def finished(self, status: str) -> dict[str, Any]:
        raise NotImplementedError

    def open(self) -> Iterator[Event]:
        fields = {"output_index": self.output_index, "item": self.finished("in_progress")}
        yield Event("response.output_item.added", fields)

    def close(self, status: str) -> Iterator[Event]:
        fields = {"output_index": self.output_index, "item": self.finished(status)}
        yield Event("response.output_item.done", fields)


class Spoken(Item):
    """An item that is made of parts."""

    def __init__(self, id: str, output_index: int) -> None:  # noqa: A002 -- the wire's own name
        super().__init__(id, output_index)
        self._parts: list[Part] = []
        self._is_open = False

    def grow(self, type: str, piece: str, logprobs: Sequence[Any]) -> Iterator[Event]:  # noqa: A002 -- the wire's own name
        if not (self._is_open and self._parts[-1].type == type):
            yield from self._turn_to(type)
        yield from self._parts[-1].grow(piece, logprobs)

    def annotate(self, annotation: dict[str, Any]) -> Iterator[Event]:
        if self._parts and self._parts[-1].type == "output_text":
            yield from self._parts[-1].annotate(annotation)

    def close(self, status: str) -> Iterator[Event]:
        yield from self._close_part()
        yield from super().close(status)

    def _turn_to(self, type: str) -> Iterator[Event]:  # noqa: A002 -- the wire's own name
        yield from self._close_part()
        place = {
            "item_id": self.id,
            "output_index": self.output_index,
            "content_index": len(self._parts),
        }
        part = Part(type, place)
        yield from part.open()
        self._parts.append(part)
        self._is_open = True

    def _close_part(self) -> Iterator[Event]:
        if self._is_open:
            self._is_open = False
            yield from self._parts[-1].close()

    def _content(self) -> list[dict[str, Any]]:
        return [part.finished() for part in self._parts]


class Message(Spoken):
    def finished(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": self._content(),
        }


class Reasoning(Spoken):
    """A chat provider gives the thoughts themselves, never a summary of them."""

    def finished(self, status: str) -> dict[str, Any]:
        return {"id": self.id, "type": "reasoning", "summary": [], "content": self._content()}


class Call(Item):
    """A call of one of the caller's tools."""

    type = "function_call"
    field = "arguments"
    event = "response.function_call_arguments"

    def __init__(self, id: str, output_index: int, call_id: str, name: str) -> None:  # noqa: A002 -- the wire's own name
        super().__init__(id, output_index)
        self.call_id = call_id
        self.name = name
        self._pieces: list[str] = []

    def finished(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "status": status,
            self.field: "".join(self._pieces),
            "call_id": self.call_id,
            "name": self.name,
        }

    def grow(self, piece: str) -> Iterator[Event]:
        self._pieces.append(piece)
        place = {"item_id": self.id, "output_index": self.output_index}
        yield Event(f"{self.event}.delta", {**place, "delta": piece})

    def close(self, status: str) -> Iterator[Event]:
        place = {"item_id": self.id, "output_index": self.output_index, "name": self.name}
        yield Event(f"{self.event}.done", {**place, self.field: "".join(self._pieces)})
        yield from super().close(status)


class CustomCall(Call):
    type = "custom_tool_call"
    field = "input"
    event = "response.custom_tool_call_input"
