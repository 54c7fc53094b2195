"""The events of one attempt's stream, on their way to the caller."""

from api import own_fields
from api.attempts import Attempt
from api.cache import Recording
from api.requests import Call
from providers import tokens
from providers.wire import ModelCall
from runestone.lib.errors import UpstreamBroken, UpstreamError

# No more is read of an answer whose caller has left.
DRAINED_TOKENS_MAX = 4_000


class Events:
    """Translates what arrives, and lets the hold know what it was.

    What says nothing yet (a role, an empty choice) is held back until something does: so long the
    answer has not begun, and another upstream may give it.
    """

    def __init__(
        self, attempt: Attempt, call: Call, asked: ModelCall, recording: Recording | None = None
    ) -> None:
        """`recording` takes in what is relayed, for the cache."""
        self.have_begun = False
        self._attempt = attempt
        self._call = call
        self._asked = asked
        self._recording = recording
        self._echoes = asked.request.echoes
        self._relay = attempt.dialect.relay(asked)
        self._held_back = b""
        self._pieces = self._text_bytes = 0
        self._failure: UpstreamError | None = None
        self._done = False

    async def read_on(self) -> None:
        """For the usage alone, once the caller has left: to the end, or so many tokens more."""
        read = self._attempt.hold.counted_output_tokens
        while not (self._done or self._failure) and (data := await self._attempt.response.next()):
            self.feed(data)
            if self._attempt.hold.counted_output_tokens - read > DRAINED_TOKENS_MAX:
                return

    def feed(self, data: bytes) -> bytes:
        """Whole events, ready to send, or nothing."""
        hold = self._attempt.hold
        hold.observe_first_byte()
        relayed = self._relay.feed(data)
        hold.observe(relayed.usage)
        self._pieces += relayed.pieces
        self._text_bytes += relayed.text_bytes
        hold.counted_output_tokens = tokens.estimated_output(self._pieces, self._text_bytes)
        self._failure, self._done = relayed.failure, relayed.done
        if tokens.least_output(self._text_bytes) > hold.output_tokens_max and not self._echoes:
            # The hold covers no more, whatever the provider thinks that it was asked for.
            self._failure = UpstreamBroken("The provider said more than it was asked for.")
        if self.have_begun:
            return self._recorded(relayed.data)
        self._held_back += relayed.data
        return self._begun() if self._pieces or self._done else b""

    def is_over(self) -> bool:
        """Whether the answer is complete. Raises what it was broken off by."""
        if self._failure is not None:
            raise self._failure
        return self._done

    def finish(self) -> bytes:
        """What is owed once nothing more arrives. Raises UpstreamBroken if that is too early."""
        self._held_back += self._relay.finish()
        return self._recorded(self._held_back) if self.have_begun else self._begun()

    def _recorded(self, events: bytes) -> bytes:
        if self._recording is not None:
            self._recording.add(events)
        return events

    def _begun(self) -> bytes:
        """What was held back, with our own fields in its first event."""
        self.have_begun = True
        held_back, self._held_back = self._recorded(self._held_back), b""
        return own_fields.spliced_event(held_back, self._call, self._asked.request)
