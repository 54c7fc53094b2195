"""Counters of calls, for tests that must know what reached the provider."""

from __future__ import annotations

from time import monotonic

import msgspec

HANG_UPS_KEPT_MAX = 1_000


class HangUp(msgspec.Struct):
    """One client that went away. CLOCK_MONOTONIC is one clock for all processes here."""

    attempt: str | None
    request: str
    monotonic: float


class Calls(msgspec.Struct):
    """started = in_flight + finished + cut + broken. GET /calls answers this."""

    in_flight: int = 0
    in_flight_max: int = 0
    started: int = 0
    finished: int = 0  # Answered whole, errors included.
    cut: int = 0  # The client hung up.
    broken: int = 0  # The scenario broke the connection or the stream.
    last_started: float | None = None
    last_cut: float | None = None
    hang_ups: list[HangUp] = []
    monotonic: float = 0

    def begin(self) -> None:
        """A call came in."""
        self.started += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        self.last_started = monotonic()

    def hung_up(self, attempt: str | None, request: str) -> None:
        """Its client went away."""
        self.cut += 1
        self.last_cut = monotonic()
        self.hang_ups.append(HangUp(attempt, request, self.last_cut))
        del self.hang_ups[:-HANG_UPS_KEPT_MAX]

    def report(self) -> bytes:
        """The counters as JSON, with the time at which they were read."""
        self.monotonic = monotonic()
        return msgspec.json.encode(self)
