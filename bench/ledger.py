"""The database that Runestone runs on, as durable as an operator's, and the proof of its money."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from bench import machine
from runestone.local import secrets
from runestone.local.paths import Home
from runestone.local.postgres import Postgres
from runestone.local.throwaway import claim_directory, sweep, wait_ready
from runestone.local.valkey import Valkey

# Models by the mock provider's names of its scenarios.
MODEL = "gpt-4o-mini"
STREAM = "gpt-4o-mini:chunks=50"
PACED = "gpt-4o-mini:chunks=50;gap=0.02"
MODELS = (MODEL, STREAM, PACED)
# The same stream in other wires' words, by dialect: what the gateway has to translate.
TRANSLATED = {"anthropic": "stream-anthropic", "ollama": "stream-ollama"}

TENANTS = 100
BUDGET_USD = 1_000_000
SETTLE_SECONDS_MAX = 30.0
# What makes a commit one, and what a throw-away cluster for tests leaves out.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


class BillLine(msgspec.Struct):
    """What the mock provider writes to its bill, as far as it is compared."""

    attempt: str | None
    amount_pico: int


class Audit(msgspec.Struct):
    """Answers that callers got, lines in the ledger, lines on the provider's bill."""

    answers: int
    lines: int
    billed: int
    differing: int
    holds_left: int
    amount_pico: int

    @property
    def is_right(self) -> bool:
        return self.answers == self.lines == self.billed and not (self.differing + self.holds_left)


class Account(msgspec.Struct):
    """Under whose name money is held."""

    tenant_id: int
    project_id: int
    api_key_id: int


@dataclass
class Ledger:
    """A fresh, durable database, migrated, with a hundred tenants under hard budgets."""

    postgres: Postgres
    url: str

    def seed(self, mock_url: str) -> str:
        """Fills the catalogue and opens accounts. Gives the first tenant's key."""
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        from bench import seed

        key, self.accounts = seed.fill(mock_url, MODELS, TENANTS, BUDGET_USD)
        return key

    def settings(self) -> str:
        with self._connect() as connection:
            shown = [(name, connection.execute(f"SHOW {name}").fetchone()) for name in DURABLE]
            version = connection.info.server_version // 10_000
        return f"Postgres {version}, " + ", ".join(f"{name}={row[0]}" for name, row in shown if row)

    def audit(self, answers: int, bill: "Bill") -> Audit:
        """Compares, line by line, what was booked since the last audit with what was billed."""
        with self._connect() as connection:
            holds = self._wait_until_settled(connection)
            billed = bill.news()
            booked = dict(
                connection.execute(
                    "SELECT id::text, amount_pico FROM billing_entry WHERE posted > %s",
                    [self._audited],
                ).fetchall()
            )
            self._mark(connection)
        both = booked.keys() | billed.keys()
        return Audit(
            answers=answers,
            lines=len(booked),
            billed=len(billed),
            differing=sum(booked.get(each) != billed.get(each) for each in both),
            holds_left=holds,
            amount_pico=sum(booked.values()),
        )

    def begin_audit(self, bill: "Bill") -> None:
        with self._connect() as connection:
            self._wait_until_settled(connection)
            self._mark(connection)
        bill.news()

    def _mark(self, connection: psycopg.Connection[Any]) -> None:
        query = "SELECT coalesce(max(posted), '-infinity')::text FROM billing_entry"
        [(self._audited,)] = connection.execute(query).fetchall()

    def _wait_until_settled(self, connection: psycopg.Connection[Any]) -> int:
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            [(holds,)] = connection.execute("SELECT count(*) FROM billing_hold").fetchall()
            if not holds or time.monotonic() > deadline:
                return int(holds)
            time.sleep(0.05)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)


class Bill:
    """The mock provider's bill, read on from where it was read to before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def news(self) -> dict[str, int]:
        """Amounts by attempt. Calls that came past the gateway name none, and are left out."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        self._offset += len(whole) + bool(whole)
        lines = [_decode(line) for line in whole.splitlines()]
        return {line.attempt: line.amount_pico for line in lines if line.attempt is not None}


_decode = msgspec.json.Decoder(BillLine).decode


@contextmanager
def running() -> Iterator[tuple[Ledger, float]]:
    """Postgres and Valkey in a directory that goes afterwards; with the disk's fsync time."""
    sweep()
    directory, lock = claim_directory()
    home = Home(data=directory, sockets=directory / "s")
    postgres, valkey = Postgres(home, durable=True), Valkey(home, durable=True)
    os.environ |= secrets.fresh() | {
        "DATABASE_URL": home.database_url(),
        "REDIS_URL": home.redis_url(),
        "DJANGO_SETTINGS_MODULE": "runestone.settings",
    }
    try:
        for server in (postgres, valkey):
            server.start()
        for server in (postgres, valkey):
            wait_ready(server)
            server.prepare()
        yield Ledger(postgres, home.database_url()), machine.fsync_ms(directory)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)
        lock.release()
