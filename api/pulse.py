"""A sign of life for streams: a comment whenever nothing has been sent for a while.

A model may think for minutes, and proxies take a silent connection for a dead one. There is one
timer for each stream, and it looks at the clock when it rings: a chunk costs no more than noting
the time. Comments are all that every SDK passes over; `id:` and `retry:` break some of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

KEEP_ALIVE = b": keep-alive\n\n"


class Pulse:
    """Calls `beat` after `seconds` of silence, and again after as many more."""

    __slots__ = ("_beat", "_loop", "_seconds", "_timer", "beating", "sent_at")

    def __init__(self, seconds: float, beat: Callable[[], Awaitable[None]]) -> None:
        """Without `seconds` there are no beats."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._beat = beat
        # The beat that is under way; who wants to send waits for it.
        self.beating: asyncio.Task[None] | None = None
        # By the loop's clock. Infinite while something is being sent: a slow reader needs no beat.
        self.sent_at = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._ring) if seconds else None

    async def quiet(self) -> None:
        """Waits for a beat that is under way."""
        if self.beating is not None:
            await asyncio.wait([self.beating])

    def stop(self) -> None:
        """No beat begins after this."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop(self) -> None:
        """Gives up a beat that is under way, too."""
        self.stop()
        if self.beating is not None:
            self.beating.cancel()

    def _ring(self) -> None:
        now = self._loop.time()
        if self.sent_at + self._seconds <= now:
            self.beating = self._loop.create_task(self._beat_once())
        else:
            due = min(self.sent_at, now) + self._seconds
            self._timer = self._loop.call_at(due, self._ring)

    async def _beat_once(self) -> None:
        # What goes wrong here goes wrong with the next event as well, which then tells it.
        with suppress(Exception):
            await self._beat()
        self.beating = None
        self.sent_at = self._loop.time()
        if self._timer is not None:
            self._timer = self._loop.call_later(self._seconds, self._ring)
