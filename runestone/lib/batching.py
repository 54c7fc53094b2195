"""Natural batching: calls that wait are sent together.

The next batch forms while one is in flight, so there is no timer: a lone call leaves at once, and
under load one round trip and one commit serve many calls. Holds, settles and limits all use it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from runestone.lib.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

# One statement stays well under Postgres' and our own per-call limits, and its locks stay short.
BATCH_ITEMS_MAX = 500
# Some seconds of work at full speed: past it, waiting longer helps nobody.
WAITING_ITEMS_MAX = 20_000


class Batcher(Generic[Item, Result]):
    """Hands items to `send` in batches, one batch in flight at a time, in order of arrival.

    `send` returns one result per item, in the same order; what it raises is raised to each caller
    of that batch. Belongs to one event loop.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        batch_items_max: int = BATCH_ITEMS_MAX,
        waiting_items_max: int = WAITING_ITEMS_MAX,
    ) -> None:
        self._send = send
        self._batch_items_max = batch_items_max
        self._waiting_items_max = waiting_items_max
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._sender: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Queues `item`; the future brings its result. Never waits, so it cannot be cancelled."""
        if len(self._waiting) >= self._waiting_items_max:
            raise Unavailable("The gateway has more calls waiting than it can serve.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if self._sender is None:
            self._sender = loop.create_task(self._send_all())
        return future

    async def drain(self) -> None:
        """Waits until nothing is waiting or in flight."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._send_one_batch()
        finally:
            self._sender = None

    async def _send_one_batch(self) -> None:
        count = min(len(self._waiting), self._batch_items_max)
        batch = [self._waiting.popleft() for _ in range(count)]
        try:
            results = await self._send([item for item, _ in batch])
            if len(results) != count:
                raise RuntimeError(f"{len(results)} results for {count} items")
        except Exception as error:  # noqa: BLE001 -- each caller of the batch gets it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
