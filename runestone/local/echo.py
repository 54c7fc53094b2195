"""The warnings and errors of a process, picked from its log for the console."""

import re
import time
from pathlib import Path

# Both Django's "2026-01-31 10:00:00,000 WARNING name: ..." and Celery's "[...: WARNING/Main] ...".
LOUD = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback ")
QUIET = re.compile(r"\b(DEBUG|INFO)\b")
LEVEL_WITHIN_CHARACTERS = 80
# A process that fails at every request must not bury everything else.
LINES_MAX = 40
WINDOW_SECONDS = 10.0
READ_BYTES_MAX = 262_144


class Echo:
    """Follows one log. A traceback belongs to the line above it, so it is told with it."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._position = 0
        self._rest = b""
        self._is_loud = False
        self._window_started = time.monotonic()
        self._shown = 0

    def news(self) -> list[str]:
        """What is worth showing of what was written since the last call."""
        heard = [line for line in self._new_lines() if self._is_worth_showing(line)]
        shown = heard[: self._allowance()]
        self._shown += len(heard)
        lines = [f"{self._name} | {line}" for line in shown]
        if shown != heard and self._shown - len(heard) <= LINES_MAX:
            lines.append(f"{self._name} | ... and more, all of it in {self._log}")
        return lines

    def _allowance(self) -> int:
        if time.monotonic() - self._window_started > WINDOW_SECONDS:
            self._window_started, self._shown = time.monotonic(), 0
        return max(0, LINES_MAX - self._shown)

    def _new_lines(self) -> list[str]:
        with self._log.open("rb") as file:
            file.seek(self._position)
            new = file.read(READ_BYTES_MAX)
        self._position += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def _is_worth_showing(self, line: str) -> bool:
        start = line[:LEVEL_WITHIN_CHARACTERS]
        if LOUD.search(start):
            self._is_loud = True
        elif QUIET.search(start):
            self._is_loud = False
        return self._is_loud
