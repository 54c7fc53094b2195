"""Stored responses: sealed rows, each within its tenant's reach only, on a connection of their own.

What another tenant has, what was deleted and what has expired is answered alike: it is not there.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct

from runestone.lib.database import Connection
from runestone.lib.encryption import CannotOpen, Vault
from runestone.lib.errors import GatewayError, Unavailable
from tenants.authentication import Caller

# A conversation that goes on and on is fetched whole for every turn.
CHAIN_RESPONSES_MAX = 1_000
# Postgres could take more, but no sane conversation has a single turn like this.
SEALED_BYTES_MAX = 64 * 1024 * 1024

log = logging.getLogger(__name__)


class Stored(Struct):
    response: dict[str, Any]
    input: list[dict[str, Any]]


class Chain(Struct):
    """The responses of a conversation, the oldest first."""

    responses: list[Stored]
    # The one that the oldest goes on from, if it is gone.
    missing: UUID | None
    # Whether there are more before, beyond the bounds.
    is_cut: bool


class NotKept(Exception):
    """The response could not be stored."""


_stored = msgspec.json.Decoder(Stored)


class Store:
    """Belongs to one event loop."""

    def __init__(self, info: str, vault: Vault, *, days: float, chain_bytes_max: int) -> None:
        self._connection = Connection(info)
        self._vault = vault
        self._lifetime = timedelta(days=days)
        self._chain_bytes_max = chain_bytes_max

    async def put(self, caller: Caller, id: UUID, previous: UUID | None, stored: Stored) -> None:  # noqa: A002 -- the column's name
        """Raises NotKept. To repeat it is harmless."""
        text = msgspec.json.encode(stored).decode()
        if len(text) > SEALED_BYTES_MAX:
            raise NotKept(f"larger than {SEALED_BYTES_MAX} bytes")
        sealed = self._vault.seal(text, context=context(caller.tenant_id, id))
        row = [id, caller.tenant_id, caller.api_key_id, previous, sealed, self._lifetime]
        try:
            await self._connection.fetch(_PUT, row)
        except (GatewayError, psycopg.Error) as error:
            raise NotKept(str(error)) from error

    async def get(self, tenant_id: int, id: UUID) -> Stored | None:  # noqa: A002 -- the column's name
        rows = await self._connection.fetch(_GET, [id, tenant_id])
        return self._opened(tenant_id, *rows[0]) if rows else None

    async def delete(self, tenant_id: int, id: UUID) -> bool:  # noqa: A002 -- the column's name
        """Whether there was one."""
        return bool(await self._connection.fetch(_DELETE, [id, tenant_id]))

    async def chain(self, tenant_id: int, last: UUID) -> Chain:
        """The conversation that ends with `last`."""
        rows = await self._connection.fetch(
            _CHAIN, [last, tenant_id, tenant_id, CHAIN_RESPONSES_MAX, self._chain_bytes_max]
        )
        if not rows:
            return Chain([], last, is_cut=False)
        _, _, previous, depth, size = rows[0]
        is_cut = depth > CHAIN_RESPONSES_MAX or size > self._chain_bytes_max
        return Chain(self._all_opened(tenant_id, rows), None if is_cut else previous, is_cut)

    async def close(self) -> None:
        await self._connection.close()

    def _all_opened(self, tenant_id: int, rows: Sequence[Sequence[Any]]) -> list[Stored]:
        opened = (self._opened(tenant_id, id, sealed) for id, sealed, *_ in rows)  # noqa: A001
        found = [each for each in opened if each is not None]
        if len(found) < len(rows):
            raise Unavailable("A part of this conversation cannot be read at the moment.")
        return found

    def _opened(self, tenant_id: int, id: UUID, sealed: bytes) -> Stored | None:  # noqa: A002 -- the column's name
        try:
            return _stored.decode(self._vault.open(sealed, context=context(tenant_id, id)))
        except CannotOpen as error:
            log.error("stored response %s cannot be read: %s", id, error)
            return None


def context(tenant_id: int, id: UUID) -> str:  # noqa: A002 -- the column's name
    """A row that was copied to another tenant, or over another row, does not open there."""
    return f"response:{id.hex}:tenant:{tenant_id}"


_PUT = """
    INSERT INTO api_storedresponse
        (id, tenant_id, api_key_id, previous_id, sealed, created, expires)
    VALUES (%s, %s, %s, %s, %s, now(), now() + %s)
    ON CONFLICT (id) DO NOTHING RETURNING id
"""
_GET = """
    SELECT id, sealed FROM api_storedresponse
    WHERE id = %s AND tenant_id = %s AND expires > now()
"""
_DELETE = """
    DELETE FROM api_storedresponse
    WHERE id = %s AND tenant_id = %s AND expires > now() RETURNING id
"""
# The bounds stop the walk one response beyond them, so that the caller of it can tell. Only ids
# and sizes are walked; what is sealed is fetched at the end.
_CHAIN = """
    WITH RECURSIVE chain AS (
        SELECT id, previous_id, 1 AS depth, octet_length(sealed)::bigint AS size
        FROM api_storedresponse
        WHERE id = %s AND tenant_id = %s AND expires > now()
        UNION ALL
        SELECT r.id, r.previous_id, c.depth + 1, c.size + octet_length(r.sealed)
        FROM chain c JOIN api_storedresponse r ON r.id = c.previous_id
        WHERE r.tenant_id = %s AND r.expires > now() AND c.depth <= %s AND c.size <= %s
    )
    SELECT r.id, r.sealed, c.previous_id, c.depth, c.size
    FROM chain c JOIN api_storedresponse r ON r.id = c.id
    ORDER BY c.depth DESC
"""
