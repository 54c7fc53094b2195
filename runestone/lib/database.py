"""The data plane's own connections to Postgres: async, autocommit, beside the ORM's.

Django's ORM is synchronous underneath: each query costs a thread hop, and its pool keeps a
connection for a whole request. The hot path sends few, batched statements, each its own
transaction, over connections that are opened once and kept.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.rows import TupleRow

from runestone.lib.errors import Unavailable

CONNECT_SECONDS_MAX = 5
STATEMENT_SECONDS_MAX = 10
KEEPALIVE_SECONDS = 5


# Keys of Django's OPTIONS that libpq does not know.
_DJANGO_OPTIONS = {"pool", "server_side_binding", "isolation_level", "assume_role"}


def conninfo(database: Mapping[str, Any]) -> str:
    """libpq's connection string for one entry of Django's DATABASES."""
    named = {
        "dbname": database["NAME"],
        "user": database["USER"],
        "password": database["PASSWORD"],
        "host": database["HOST"],
        "port": database["PORT"],
        **database.get("OPTIONS", {}),
    }
    given = {name: value for name, value in named.items() if value and name not in _DJANGO_OPTIONS}
    return psycopg.conninfo.make_conninfo(
        **given,
        connect_timeout=CONNECT_SECONDS_MAX,
        options=(
            f"-c statement_timeout={STATEMENT_SECONDS_MAX * 1000} -c timezone=UTC "
            # A host that lost its power keeps its session, and so its locks, for no longer.
            f"-c tcp_keepalives_idle={KEEPALIVE_SECONDS} "
            f"-c tcp_keepalives_interval={KEEPALIVE_SECONDS} -c tcp_keepalives_count=2"
        ),
        application_name="runestone-gateway",
    )


class Connection:
    """One autocommit connection that opens itself at first use and reopens after a failure.

    Calls queue for it. A statement that fails with the connection raises `Unavailable`, and it is
    then unknown whether it was carried out: only idempotent statements may be sent again.
    """

    def __init__(self, info: str) -> None:
        self._info = info
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._lock = asyncio.Lock()

    async def fetch(
        self, statement: LiteralString, parameters: Sequence[Any] = ()
    ) -> list[TupleRow]:
        async with self._lock:
            try:
                connection = await self._opened()
                async with asyncio.timeout(STATEMENT_SECONDS_MAX + 1):
                    # psycopg prepares what it has seen a few times; the plan is then kept.
                    cursor = await connection.execute(statement, parameters, binary=True)
                    return await cursor.fetchall()
            except (psycopg.OperationalError, TimeoutError) as error:
                await self._abandon()
                raise Unavailable("The ledger's database cannot be reached.") from error
            except asyncio.CancelledError:
                # A statement that was cut off in the middle leaves the connection unusable.
                await self._abandon()
                raise

    async def close(self) -> None:
        async with self._lock:
            await self._abandon()

    async def _opened(self) -> psycopg.AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(self._info, autocommit=True)
        return self._connection

    async def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
