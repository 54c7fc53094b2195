"""Configuration in memory, never more than a second old.

Database triggers count every change of the configuration tables by topic (tenants/revisions.sql).
Each process reads the counts once in `POLL_SECONDS` and reloads what has changed. So the hot path
never asks the database about keys, routes or prices, and whoever changes them, by admin,
shell or plain SQL, is noticed everywhere.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from runestone.lib.database import Connection
from runestone.lib.errors import Unavailable

POLL_SECONDS = 0.5

log = logging.getLogger(__name__)

Reload = Callable[[Connection], Awaitable[None]]


class Revisions:
    """Watches topics; `reload` of a topic runs once at start and then after every change.

    What has changed together is reloaded in the order in which it is watched.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reloads: dict[str, Reload] = {}
        self._seen: dict[str, int] = {}
        self._watcher: asyncio.Task[None] | None = None

    def watch(self, topic: str, reload: Reload) -> None:
        self._reloads[topic] = reload

    async def start(self) -> None:
        await self.refresh()
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher

    async def refresh(self) -> None:
        """Reloads what has changed since the last time."""
        rows = await self._connection.fetch("SELECT topic, number FROM config_revision")
        failure: Exception | None = None
        numbers: dict[str, int] = dict(rows)
        for topic, reload in self._reloads.items():
            number = numbers.get(topic)
            if number is not None and self._seen.get(topic) != number:
                try:
                    # Only a reload that succeeded counts as seen; a failed one is tried again,
                    # and keeps no other topic from its own: keys are revoked whatever prices do.
                    await reload(self._connection)
                    self._seen[topic] = number
                except Exception as error:  # noqa: BLE001 -- raised again below
                    failure = error
        if failure is not None:
            raise failure

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
            except Unavailable:
                log.warning("configuration not refreshed: the database cannot be reached")
            except Exception:
                log.exception("configuration not refreshed")
