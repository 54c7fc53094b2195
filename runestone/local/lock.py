"""Locks that no crash leaves behind: the kernel drops them with the last process that has them.

A process id in a file proves nothing. After a reboot it may be anybody's, and where process 1
does not reap, a dead postmaster still answers to `kill -0`. So the id is only there to be shown,
or to be stopped while the lock proves that it is the one.
"""

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from runestone.local.errors import LockedError

PATIENCE_SECONDS = 3.0
TAKEOVER_SECONDS_MAX = 15.0
POLL_SECONDS = 0.02


class Lock:
    """An exclusive lock on a file; children that inherit `descriptor` keep it as well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not locked")
        return self._descriptor

    def acquire(self) -> int | None:
        """Take the lock or raise LockedError.

        Returns the holder before us, if it went without a goodbye.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _process_id(descriptor)
            os.close(descriptor)
            raise LockedError(f"{self.path} is held by process {holder}.", holder) from None
        self._descriptor = descriptor
        before = _process_id(descriptor)
        os.truncate(descriptor, 0)
        return before

    def take_over(self, stop_signal: signal.Signals) -> None:
        """Take the lock from what a dead supervisor left running.

        Only for a caller that already holds the lock of the whole stack. On Linux the servers
        die with their parent and all it takes is patience; elsewhere they have to be told.
        """
        asked = False
        started = time.monotonic()
        while (waited := time.monotonic() - started) < TAKEOVER_SECONDS_MAX:
            try:
                self.acquire()
            except LockedError as locked:
                if waited > PATIENCE_SECONDS and not asked:
                    asked = True
                    _ask(locked.holder, stop_signal)
                time.sleep(POLL_SECONDS)
            else:
                return
        self.acquire()

    def name_holder(self, process_id: int) -> None:
        os.pwrite(self.descriptor, f"{process_id}\n".encode(), 0)

    def release(self) -> None:
        """Say goodbye and let go. Inherited copies of the descriptor still hold the lock."""
        if self._descriptor is not None:
            os.truncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _process_id(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _ask(holder: int | None, stop_signal: signal.Signals) -> None:
    if holder is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(holder, stop_signal)
