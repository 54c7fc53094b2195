"""A stream of chat chunks as the events of a response.

Each event has its type twice, in an `event:` line and in its data, and a number. There is no
`[DONE]`: a response ends with `response.completed`, `.incomplete` or `.failed`.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from api.responses.answer import Answer
from api.responses.chunks import Chunk, decoded
from api.responses.growing import Event
from api.responses.output import INCOMPLETE, Output
from runestone.lib import sse
from runestone.lib.errors import GatewayError

# Characters: a delta and its padding are a multiple of this.
PADDED_TO = 16


class Relay:
    """Translates one stream, piece by piece."""

    def __init__(self, answer: Answer, output: Output, *, pads: bool) -> None:
        self._answer = answer
        self._output = output
        # Whether deltas get the `obfuscation` of OpenAI's.
        self._pads = pads
        self._reader = sse.Reader()
        self._number = 0
        self.has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The events in what arrived, as far as it can be read. Raises UpstreamBroken."""
        for piece in self._reader.feed(data):
            if not piece.data.startswith(sse.DONE):
                yield from map(self._encoded, self._events(decoded(piece.data)))

    def close(self) -> Iterator[bytes]:
        """The events that end the output; what is left is to tell of the response."""
        yield from map(self._encoded, self._begin())
        yield from map(self._encoded, self._output.close(self._answer.final_status))

    def finished(self) -> dict[str, Any]:
        return self._answer.finished(self._output.items)

    def end(self, response: dict[str, Any]) -> bytes:
        return self._encoded(Event(f"response.{response['status']}", {"response": response}))

    def fail(self, error: GatewayError) -> Iterator[bytes]:
        """Both ends that clients look for: a failed response, and an error that SDKs raise."""
        yield from map(self._encoded, self._output.close(INCOMPLETE))
        failed = self._answer.failed(self._output.items, error)
        yield self._encoded(Event("response.failed", {"response": failed}))
        yield self._encoded(_told(error))

    def _events(self, chunk: Chunk) -> Iterator[Event]:
        self._answer.observe(chunk)
        yield from self._begin()
        for choice in chunk.choices or ():
            if choice.delta is not None and choice.index == 0:
                yield from self._output.add(choice.delta, choice.chances())
            self._answer.observe_end(choice.finish_reason)

    def _begin(self) -> Iterator[Event]:
        if not self.has_begun:
            self.has_begun = True
            response = self._answer.begun()
            yield Event("response.created", {"response": response})
            yield Event("response.in_progress", {"response": response})

    def _encoded(self, event: Event) -> bytes:
        if self._pads and "delta" in event.fields:
            padding = _padding(len(event.fields["delta"]))
            event = Event(event.type, {**event.fields, "obfuscation": padding})
        self._number += 1
        return _encoded(event, self._number - 1)


def refusal(error: GatewayError) -> bytes:
    """What is told in place of a response, where only its keep-alive comments went before."""
    return _encoded(_told(error), 0)


def _told(error: GatewayError) -> Event:
    """SDKs raise what they find under `error`; the rest is what OpenAI describes."""
    told = {"code": error.code, "message": error.message, "param": error.param}
    return Event("error", {**told, "error": {"type": error.type, **told}})


def _encoded(event: Event, number: int) -> bytes:
    numbered = {"type": event.type, **event.fields, "sequence_number": number}
    return b"event: " + event.type.encode() + b"\n" + sse.encode(msgspec.json.encode(numbered))


def _padding(length: int) -> str:
    """So much noise that who counts the bytes of events on the wire does not learn the words."""
    return secrets.token_urlsafe(PADDED_TO)[: -length % PADDED_TO]
