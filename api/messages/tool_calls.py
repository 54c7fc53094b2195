"""The tool calls of a stream, put in a row.

Chat may mix the fragments of parallel calls; Anthropic's blocks come one after the other. So one
call is told as it comes, and the others wait until its arguments are whole, or until the end.
"""

import msgspec

from api.messages.answers import CalledFunction, CalledTool


class ToolCall:
    __slots__ = ("id", "name", "number", "told", "untold")

    def __init__(self, number: int, call_id: str) -> None:
        self.number = number
        self.id = call_id
        self.name = ""
        # Pieces of its arguments.
        self.told: list[str] = []
        self.untold: list[str] = []

    @property
    def key(self) -> str:
        return f"tool {self.number}"

    @property
    def is_whole(self) -> bool:
        arguments = "".join(self.told + self.untold)
        if not arguments.rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def taken(self) -> str:
        """What is to be told now."""
        taken = "".join(self.untold)
        self.told.append(taken)
        self.untold.clear()
        return taken


Told = list[tuple[ToolCall, str]]


class ToolCalls:
    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        # By the index that the provider gave last.
        self._by_index: dict[int, ToolCall] = {}
        # How many have been told to their end; the next one is told as it comes.
        self._done = 0

    @property
    def has_any(self) -> bool:
        return bool(self._calls)

    def feed(self, fragment: CalledTool) -> Told:
        """What can be told now: each call with more of its arguments, perhaps with none."""
        function = fragment.function or CalledFunction()
        call = self._call_of(fragment)
        call.name = call.name or function.name or ""
        if function.arguments:
            call.untold.append(function.arguments)
        told: Told = []
        while self._done < call.number and self._calls[self._done].is_whole:
            told.append(self._next())
            self._done += 1
        if self._done == call.number and call.name:
            told.append(self._next())
        return told

    def rest(self) -> Told:
        """What had to wait. The calls so far are complete."""
        waiting = self._calls[self._done :]
        self._done = len(self._calls)
        return [(call, call.taken()) for call in waiting]

    def _next(self) -> tuple[ToolCall, str]:
        call = self._calls[self._done]
        return call, call.taken()

    def _call_of(self, fragment: CalledTool) -> ToolCall:
        """Some vendors give every call the index 0, or none; then a new id is a new call."""
        index = fragment.index
        if index is None:
            index = max(len(self._calls) - 1, 0)
        call = self._by_index.get(index)
        if call is None or (fragment.id and call.id and fragment.id != call.id):
            call = ToolCall(len(self._calls), fragment.id or "")
            self._calls.append(call)
            self._by_index[index] = call
        return call
