"""Servers that live as long as one test run, in a directory that goes with them.

A run killed with -9 leaves its directory behind; the next one sweeps every directory that no
process holds the lock of. So two runs at once do not touch each other.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from runestone.local.account import server_account
from runestone.local.errors import LockedError, ServerFailedError
from runestone.local.lock import Lock
from runestone.local.paths import SOCKETS_ROOT, Home
from runestone.local.postgres import Postgres
from runestone.local.valkey import Valkey

START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.01
LOCKS = ("run.lock", "postgres.lock", "valkey.lock")
LAST_LINES = 20


class ThrowawayServers:
    """`database_url` and `redis_url` hold from the start, `start` makes them answer."""

    def __init__(self) -> None:
        sweep()
        self._directory, self._lock = claim_directory()
        home = Home(data=self._directory, sockets=self._directory / "s")
        self.postgres = Postgres(home, durable=False)
        self.valkey = Valkey(home, durable=False)
        self.database_url = home.database_url()
        self.redis_url = home.redis_url()

    def start(self, *, postgres: bool = True, valkey: bool = True) -> None:
        servers = [self.postgres] * postgres + [self.valkey] * valkey
        for server in servers:
            server.start()
        for server in servers:
            wait_ready(server)
            server.prepare()

    def stop(self) -> None:
        self.valkey.stop()
        self.postgres.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._lock.release()


def wait_ready(server: Postgres | Valkey) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not server.is_ready():
        process = server.process
        if process is None or not process.is_alive or time.monotonic() > deadline:
            words = "\n".join(process.last_lines(LAST_LINES)) if process else ""
            fate = process.fate if process else "was not started"
            raise ServerFailedError(f"{server.name} {fate} and is not ready:\n{words}")
        time.sleep(POLL_SECONDS)


def sweep() -> None:
    """Remove what killed runs left. Ours only, and only what is nobody's any more."""
    for directory in SOCKETS_ROOT.glob(f"{_prefix()}*"):
        with suppress(OSError):
            found = directory.lstat()
            if found.st_uid == os.getuid() and not directory.is_symlink() and _is_free(directory):
                shutil.rmtree(directory, ignore_errors=True)


def _prefix() -> str:
    return f"runestone-test-{os.getuid()}-"


def _is_free(directory: Path) -> bool:
    locks = [Lock(directory / name) for name in LOCKS]
    try:
        for lock in locks:
            lock.acquire()
    except LockedError:
        return False
    finally:
        for lock in locks:
            lock.release()
    return True


def claim_directory() -> tuple[Path, Lock]:
    # Locked first and named afterwards, so that no sweep of another run finds it unlocked.
    unnamed = Path(tempfile.mkdtemp(prefix=".runestone-test-", dir=SOCKETS_ROOT))
    server_account().can_enter(unnamed)
    lock = Lock(unnamed / LOCKS[0])
    lock.acquire()
    directory = unnamed.with_name(f"{_prefix()}{unnamed.name.rsplit('-', 1)[1]}")
    unnamed.rename(directory)
    return directory, lock
