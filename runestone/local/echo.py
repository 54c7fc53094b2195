"""The warnings and errors of a process, picked from its log for the console."""

import re
from pathlib import Path

# Both Django's "2026-01-31 10:00:00,000 WARNING name: ..." and Celery's "[...: WARNING/Main] ...".
LOUD = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback ")
QUIET = re.compile(r"\b(DEBUG|INFO)\b")
LEVEL_WITHIN_CHARACTERS = 80
LINES_MAX = 40
READ_BYTES_MAX = 262_144


class Echo:
    """Follows one log. A traceback belongs to the line above it, so it is told with it."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._position = 0
        self._rest = b""
        self._is_loud = False

    def news(self) -> list[str]:
        """What is worth showing of what was written since the last call."""
        heard = [line for line in self._new_lines() if self._is_worth_showing(line)]
        lines = [f"{self._name} | {line}" for line in heard[:LINES_MAX]]
        if len(heard) > LINES_MAX:
            lines.append(f"{self._name} | ... {len(heard) - LINES_MAX} more lines in {self._log}")
        return lines

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
