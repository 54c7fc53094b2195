"""Gateway processes as rows, so that the holds of a dead one can be told from a living one's.

A living gateway has a fresh heartbeat and a database session that holds an advisory lock on its
id. One with neither is dead: it is fenced first, and then its holds are resolved (sweep). A fenced
instance can hold no more; if it lives after all, it takes a new identity.
"""

import asyncio
import logging
import os
import socket
from contextlib import suppress

from runestone.lib.database import Connection
from runestone.lib.errors import Unavailable

HEARTBEAT_SECONDS = 2.0

log = logging.getLogger(__name__)


class Instance:
    """This process's identity in the ledger."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heart: asyncio.Task[None] | None = None
        self.id = 0

    async def start(self) -> None:
        await self.register()
        self._heart = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """Ends this identity; holds that are still open are swept at once."""
        if self._heart is not None:
            self._heart.cancel()
            with suppress(asyncio.CancelledError):
                await self._heart
        with suppress(Unavailable):
            await self._connection.fetch(_FENCE, [self.id])

    async def register(self) -> None:
        """Takes a new identity, locked by this database session."""
        [(self.id,)] = await self._connection.fetch(_REGISTER, [socket.gethostname(), os.getpid()])
        await self._connection.fetch(_LOCK, [LOCK_SPACE, self.id])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._connection.fetch(_HEARTBEAT, [self.id])
                # The lock went with the session if the connection was lost since.
                await self._connection.fetch(_LOCK, [LOCK_SPACE, self.id])
            except Unavailable:
                log.warning("no heartbeat: the ledger's database cannot be reached")


# Advisory locks share one space per database; this half of their key is ours ("Rune").
LOCK_SPACE = 0x52756E65

_REGISTER = """
    INSERT INTO billing_gatewayinstance (host, pid, started, heartbeat)
    VALUES (%s, %s, now(), now()) RETURNING id
"""
_HEARTBEAT = "UPDATE billing_gatewayinstance SET heartbeat = now() WHERE id = %s RETURNING id"
_FENCE = "UPDATE billing_gatewayinstance SET fenced = now() WHERE id = %s RETURNING id"
# Taken once however often it is asked for, and freed by the end of the session alone.
_LOCK = """
    SELECT pg_try_advisory_lock(asked.space, asked.id)
    FROM (SELECT %s::int AS space, %s::int AS id) asked
    WHERE NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
        AND classid::bigint = asked.space AND objid::bigint = asked.id)
"""
