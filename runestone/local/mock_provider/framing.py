"""A stream's payloads as bytes, and the odd ways in which a provider may cut them."""

from __future__ import annotations

import asyncio

from runestone.local.mock_provider.exchange import Exchange
from runestone.local.mock_provider.scenarios import Scenario

COMMENT = b": MOCK PROVIDER PROCESSING"


class Framing:
    """Writes payloads as server-sent events."""

    prefix = b"data: "
    lines = 2  # How many line ends a payload has after it.

    def __init__(self, exchange: Exchange, scenario: Scenario) -> None:
        newline = b"\r\n" if scenario.crlf else b"\n"
        self.before = COMMENT + newline * 2 if scenario.comments else b""
        self.after = newline * self.lines
        self.split = scenario.split
        self.exchange = exchange

    async def write(self, payload: bytes) -> None:
        """Write one event."""
        data = self.before + self.prefix + payload + self.after
        if self.split is None:
            await self.exchange.write(data)
            return
        for start in range(0, len(data), self.split):
            await self.exchange.write(data[start : start + self.split])
            # Let it out, so that the pieces arrive as pieces.
            await asyncio.sleep(0)


class Lines(Framing):
    """Writes each payload as a line."""

    prefix = b""
    lines = 1
