"""What the person at the terminal sees: a line per step, then words."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

CLEAR_LINE = "\r\x1b[2K"


class Console:
    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._is_terminal = self._output.isatty()
        self._tick = self._either("✓", "ok")
        self._doing = ""
        self._cross = self._either("✗", "failed:")

    @contextmanager
    def step(self, what: str, done: str = "") -> Iterator[None]:
        """Shows what is being done, then that it is done and how long it took."""
        started = time.monotonic()
        if self._is_terminal:
            self._doing = f"  {self._either('…', '..')} {what}"
            self._write(self._doing)
        try:
            yield
        except BaseException:
            self._finish(self._cross, what)
            raise
        self._finish(self._tick, f"{done or what} ({time.monotonic() - started:.1f} s)")

    def say(self, text: str = "") -> None:
        """A line of its own, even in the middle of a step."""
        self._write(f"{CLEAR_LINE if self._doing else ''}{text}\n{self._doing}")

    def fail(self, text: str) -> None:
        self._write(f"\n{self._cross} {text}\n")

    def _finish(self, mark: str, text: str) -> None:
        self._write(f"{CLEAR_LINE if self._doing else ''}  {mark} {text}\n")
        self._doing = ""

    def _write(self, text: str) -> None:
        # The terminal may be gone (a hang-up, `| head`), and the stack must still stop cleanly.
        with suppress(OSError):
            self._output.write(text)
            self._output.flush()

    def _either(self, pretty: str, plain: str) -> str:
        """A garbage LANG leaves an output that knows ASCII only."""
        try:
            pretty.encode(self._output.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return plain
        return pretty
