"""A circuit breaker: an upstream that fails is left alone for a while, then tried with care.

             FAILURES_MAX in a row, or WINDOW_FAILURES_MIN
             that are FAILURE_SHARE_MAX of the last calls,
             or probes that fail
    closed ───────────────────────────────────────────► open
       ▲                                                │  ▲
       │ SUCCESSES_MIN                 its time is over │  │ a failure: open for longer
       │                               or a good probe  ▼  │
       └──────────────────────────────────────────── half-open (TRIALS_MAX calls at once)

A state machine and nothing else: it knows no network, no other process, and of time only the clock
that it is given. `providers/breakers.py` keeps one for each upstream.
"""

import random
import time
from collections.abc import Callable
from enum import StrEnum

# An outage is noticed within so many calls that all fail …
FAILURES_MAX = 5
# … and a bad half of all calls within so many failures, in a window of the last so many calls.
FAILURE_SHARE_MAX = 0.5
WINDOW_FAILURES_MIN = 10
WINDOW_CALLS_MAX = 100
# How long it stays open: doubled at every trip, and forgotten after a steady minute.
OPEN_SECONDS_MIN = 5.0
OPEN_SECONDS_MAX = 60.0
STEADY_SECONDS = 60.0
# So much of it, at most, is left off at random: not everybody comes back in the same moment.
JITTER = 0.2
# Half-open, so many calls may be under way at once, and so many must succeed.
TRIALS_MAX = 3
SUCCESSES_MIN = 2
# A call that succeeded so lately proves more than probes that fail.
PROOF_SECONDS = 60.0

# A window's calls as bits of one number, behind a leading 1.
_FULL = 1 << WINDOW_CALLS_MAX
_OVERFULL = _FULL << 1
_DOUBLINGS_MAX = 16
_NEVER = float("-inf")


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Of one upstream.

    Each change of state begins a new turn. `begin` names the turn that a call belongs to, and a
    verdict from an earlier turn counts for nothing: what was begun before an outage, and times out
    long after, says nothing about now. A verdict without a turn is taken for one of this turn.
    """

    __slots__ = (
        "_chance", "_clock", "_closed", "_failures", "_history", "_succeeded", "_successes",
        "_trials", "is_closed", "trial_from", "trips", "turn",
    )  # fmt: skip

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`clock` counts seconds, `chance` gives numbers from 0 to 1."""
        self._clock = clock
        self._chance = chance
        self.is_closed = True
        self.turn = 1
        # Trips since it was last closed for a steady while.
        self.trips = 0
        # When it was last tripped: the moment from which it is half-open.
        self.trial_from = _NEVER
        self._closed = _NEVER
        self._succeeded = _NEVER
        self._failures = 0
        # A bit for each of the last calls: a failure is a 1.
        self._history = 1
        self._trials = 0
        self._successes = 0

    @property
    def state(self) -> BreakerState:
        if self.is_closed:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._is_due() else BreakerState.OPEN

    @property
    def trials(self) -> int:
        """Calls of this half-open turn that are under way."""
        return self._trials

    def permits(self) -> bool:
        return self.is_closed or (self._trials < TRIALS_MAX and self._is_due())

    def begin(self) -> int:
        """The turn that the call belongs to; 0 if it may not be made now."""
        if not self.is_closed:
            if self._trials >= TRIALS_MAX or not self._is_due():
                return 0
            self._trials += 1
        return self.turn

    def succeeded(self, turn: int | None = None) -> None:
        if turn is not None and turn != self.turn:
            return
        self._succeeded = self._clock()
        if self.is_closed:
            self._failures = 0
            self._remember(0)
        elif self._is_due():
            self._end_trial()
            self._successes += 1
            if self._successes >= SUCCESSES_MIN:
                self.close()

    def failed(self, turn: int | None = None) -> None:
        if turn is not None and turn != self.turn:
            return
        if self.is_closed:
            self._failures += 1
            self._remember(1)
            if self._failures >= FAILURES_MAX or self._fails_too_often():
                self._trip()
        elif self._is_due():
            self._trip()

    def abandoned(self, turn: int | None = None) -> None:
        if turn is None or turn == self.turn:
            self._end_trial()

    def probe_succeeded(self) -> None:
        """It may be tried at once."""
        self.trial_from = min(self.trial_from, self._clock())

    def probes_failed(self) -> None:
        """Several in a row: it opens, unless calls have lately shown better."""
        if self.is_closed and self._clock() - self._succeeded >= PROOF_SECONDS:
            self._trip()

    def open(self, seconds: float, trips: int) -> None:
        """As another process did, that many seconds from its half-open state."""
        self.is_closed = False
        self.turn += 1
        self.trips = trips
        self.trial_from = self._clock() + min(max(seconds, 0.0), OPEN_SECONDS_MAX)
        self._trials = self._successes = 0

    def close(self) -> None:
        """Does nothing if it is closed."""
        if self.is_closed:
            return
        self.is_closed = True
        self.turn += 1
        self._closed = self._clock()
        self._failures = self._trials = 0
        self._history = 1

    def seconds_until_trial(self) -> float:
        return 0.0 if self.is_closed else max(self.trial_from - self._clock(), 0.0)

    def _is_due(self) -> bool:
        return self._clock() >= self.trial_from

    def _trip(self) -> None:
        if self.is_closed and self._clock() - self._closed >= STEADY_SECONDS:
            self.trips = 0
        longest = OPEN_SECONDS_MIN * 2 ** min(self.trips, _DOUBLINGS_MAX)
        seconds = min(longest, OPEN_SECONDS_MAX) * (1 - JITTER * self._chance())
        self.open(seconds, self.trips + 1)

    def _end_trial(self) -> None:
        self._trials = max(self._trials - 1, 0)

    def _remember(self, failure: int) -> None:
        history = self._history << 1 | failure
        self._history = history if history < _OVERFULL else history & (_FULL - 1) | _FULL

    def _fails_too_often(self) -> bool:
        calls = self._history.bit_length() - 1
        failures = self._history.bit_count() - 1
        return failures >= WINDOW_FAILURES_MIN and failures >= FAILURE_SHARE_MAX * calls
