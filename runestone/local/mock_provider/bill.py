"""The provider's own bill: a file of JSON lines that is only ever appended to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from runestone.local.mock_provider.prices import DEFAULT_TIER, Price


class Line(msgspec.Struct):
    """One call. It is filled while the call works and written once, when it ends."""

    attempt: str | None
    request: str
    model: str
    prompt_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0
    written_1h_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    service_tier: str = DEFAULT_TIER
    amount_pico: int = 0
    status: int = 200
    streamed: bool = False
    finished: bool = False
    at: str = ""


class Total(msgspec.Struct):
    """What GET /bill answers."""

    lines: list[Line]
    amount_pico: int
    count: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Bill:
    """Appends with one O_APPEND write(2) per line.

    The line is in the kernel before the reply's last byte is sent, so it survives the
    death of this process and of everybody else, and two mocks may share one file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, line: Line, price: Price) -> None:
        """Price the line, stamp it, write it. Provider.charge sees to it that it is once."""
        line.amount_pico = price.amount_pico(
            line.prompt_tokens,
            line.cached_tokens,
            line.completion_tokens,
            line.service_tier,
            written=line.written_tokens,
            written_1h=line.written_1h_tokens,
        )
        line.at = datetime.now(UTC).isoformat()
        data = _encode(line) + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError(f"the bill {self.path} took only a part of a line")

    def total(self, attempt: str | None = None) -> Total:
        """The whole bill, or one attempt's part of it, read back from the disk."""
        lines = [x for x in read(self.path) if attempt is None or x.attempt == attempt]
        return Total(lines, sum(line.amount_pico for line in lines), len(lines))


def read(path: Path) -> Iterator[Line]:
    """The lines of a bill. A last line without its newline was never written whole."""
    with path.open("rb") as file:
        for data in file:
            if data.endswith(b"\n"):
                yield _decode(data)
