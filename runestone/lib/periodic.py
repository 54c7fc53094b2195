"""Work in the background of an event loop, again and again, whatever becomes of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

log = logging.getLogger(__name__)


class Periodic:
    """Does `work` every `seconds`, and at once when it is woken. `name` is for the log.

    What `work` raises is told once, and then once more when it has passed.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_failing = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        # Up to Python 3.11 `asyncio.wait_for`, which redis-py uses, may lose a cancellation.
        self._is_stopping = True
        self.wake()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        self._woken.set()

    async def _run(self) -> None:
        while not self._is_stopping:
            self._woken.clear()
            await self._work_once()
            await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._woken.wait()

    async def _work_once(self) -> None:
        try:
            await self._work()
        except Exception as error:  # noqa: BLE001 -- it goes on, whatever that was
            if not self._is_failing:
                log.warning("%s: %s: %s", self._name, type(error).__name__, error)
            self._is_failing = True
            return
        if self._is_failing:
            log.warning("%s: works again", self._name)
        self._is_failing = False
