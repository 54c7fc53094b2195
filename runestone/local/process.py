"""One child process: how it starts, where its words go, and how it is made to end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runestone.local.account import Account
from runestone.local.paths import PRIVATE

PR_SET_PDEATHSIG = 1
STOP_SECONDS_MAX = 10.0
KILL_SECONDS_MAX = 5.0
TAIL_BYTES_MAX = 16_384

# Loaded before any fork: a forked child must not take the loader's lock.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    account: Account | None = None
    directory: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds_max: float = STOP_SECONDS_MAX
    inherits: tuple[int, ...] = ()


class Process:
    """A running program, in a session of its own: Ctrl-C reaches the supervisor alone."""

    def __init__(self, program: Program, log: Path, *, keep_output: bool = False) -> None:
        self.program = program
        self.log = log
        self._output = _unnamed_file() if keep_output else None
        _keep_one_older(log)
        with log.open("ab") as errors:
            self._popen = _spawn(program, self._output or errors, errors)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def failed(self) -> bool:
        return self._popen.poll() not in (None, 0)

    @property
    def fate(self) -> str:
        code = self._popen.poll()
        if code is None:
            return "is running"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def wait(self, seconds_max: float) -> int | None:
        """Its exit code, or None if it still runs after that time."""
        try:
            return self._popen.wait(seconds_max)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        self._popen.send_signal(self.program.stop_signal)  # does nothing to a dead process

    def wait_stopped(self) -> bool:
        """Whether it went by itself. It is gone afterwards in any case, its children too."""
        went = self.wait(self.program.stop_seconds_max) is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(KILL_SECONDS_MAX)
        return went

    def stop(self) -> bool:
        self.ask_to_stop()
        return self.wait_stopped()

    def output(self) -> str:
        """What it wrote to its standard output, if that was to be kept out of the log."""
        if self._output is None:
            raise RuntimeError(f"the output of {self.program.name} went to {self.log}")
        self._output.seek(0)
        return self._output.read().decode()

    def last_lines(self, count: int) -> list[str]:
        return tail(self.log, count)


def tail(log: Path, count: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES_MAX))
        text = file.read().decode(errors="replace")
    return text.splitlines()[-count:]


def _spawn(program: Program, output: IO[bytes], errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    lent = program.account if program.account and program.account.lent else None
    return subprocess.Popen(
        program.argv,
        env=dict(program.environment),
        cwd=program.directory or "/",
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        user=lent.uid if lent else None,
        group=lent.gid if lent else None,
        extra_groups=[] if lent else None,
        umask=0o077,
        pass_fds=program.inherits,
        # Runs after the change of user, which would clear what it sets.
        preexec_fn=_tied_to(os.getpid(), program.stop_signal),
    )


def _unnamed_file() -> IO[bytes]:
    """Where secrets may be written: on no path, and gone with its last descriptor."""
    return tempfile.TemporaryFile()


def _tied_to(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """What a child does first: ask the kernel for a signal when the supervisor is gone.

    The kernel means the parent's *thread*, so programs are started from the main thread only.
    """

    def tie() -> None:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:
                os._exit(1)  # the supervisor died before we could ask

    return tie


def _keep_one_older(log: Path) -> None:
    # The directory above may be open to others, so that a lent account can pass.
    log.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
