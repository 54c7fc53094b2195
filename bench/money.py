"""Holds and settles alone, without HTTP: `python -m bench.money '{...}'` prints what it saw.

Each turn goes the hot path's way: a hold is committed, the provider's usage is observed, and the
settle goes to the settler. The time counts until the last line is in the ledger.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import django
import uvloop

from bench import machine
from bench.ledger import MODEL, Account
from bench.load import quantiles


@dataclass
class Turns:
    """How many turns at a time, or how many a second, and on whose account."""

    accounts: list[list[int]]
    seconds: float
    concurrency: int = 0
    rate: float = 0.0
    postgres_pid: int = 0


class Money:
    def __init__(self, turns: Turns) -> None:
        from django.conf import settings

        from billing.holds import Accountant
        from billing.pricing import PriceBook
        from runestone.lib.database import Connection, conninfo

        info = conninfo(settings.DATABASES["default"])
        self._prices = PriceBook()
        self._connection = Connection(info)
        self._accountant = Accountant(info, self._prices)
        self._turns = turns
        self._accounts = [Account(*ids) for ids in turns.accounts]
        self._count = 0
        self._waited: list[float] = []

    async def __call__(self) -> dict[str, Any]:
        await self._prices.reload(self._connection)
        await self._accountant.start()
        for account in self._accounts:  # opens the budgets' windows
            await self._turn(account)
        self._count, self._waited = 0, []
        cpu, postgres = time.process_time(), machine.cpu_seconds(self._turns.postgres_pid)
        begun = time.perf_counter()
        await (self._open_loop() if self._turns.rate else self._closed_loop())
        postgres = machine.cpu_seconds(self._turns.postgres_pid) - postgres
        await self._accountant.stop()
        await self._connection.close()
        seconds = time.perf_counter() - begun
        return {
            "turns": self._count,
            "rate": self._count / seconds,
            "milliseconds": quantiles(self._waited),
            "cpu_us": (time.process_time() - cpu) / self._count * 1e6,
            "postgres_us": postgres / self._count * 1e6,
        }

    async def _closed_loop(self) -> None:
        ends = time.perf_counter() + self._turns.seconds

        async def worker(number: int) -> None:
            while time.perf_counter() < ends:
                await self._turn(self._accounts[number % len(self._accounts)])
                number += 1

        await asyncio.gather(*(worker(number) for number in range(self._turns.concurrency)))

    async def _open_loop(self) -> None:
        loop = asyncio.get_running_loop()
        turns: set[asyncio.Task[None]] = set()
        begun = due = loop.time()
        while due < begun + self._turns.seconds:
            account = self._accounts[self._count % len(self._accounts)]
            turn = loop.create_task(self._turn(account))
            turns.add(turn)
            turn.add_done_callback(turns.discard)
            due += 1 / self._turns.rate
            await asyncio.sleep(max(0.0, due - loop.time()))
        await asyncio.gather(*turns)

    async def _turn(self, account: Account) -> None:
        from billing.pricing import Most
        from runestone.lib.ids import uuid7
        from runestone.lib.usage import NOTHING_USED, Usage

        begun = time.perf_counter()
        async with self._accountant.held(
            request_id=uuid7(),
            tenant_id=account.tenant_id,
            project_id=account.project_id,
            api_key_id=account.api_key_id,
            upstream="mock",
            model=MODEL,
            most=Most(400, 1_000),
            counted=NOTHING_USED,
            streamed=False,
        ) as hold:
            self._waited.append(time.perf_counter() - begun)
            self._count += 1
            hold.observe(Usage(input_tokens=20, output_tokens=20))


def main() -> None:
    turns = Turns(**json.loads(sys.argv[1]))
    django.setup()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(Money(turns)())))


if __name__ == "__main__":
    main()
