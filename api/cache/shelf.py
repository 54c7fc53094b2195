"""Redis as a shelf: things lie on it for a while, and may be gone. Nobody waits for it long.

All that is put and looked for goes through one batcher, in order: so what this process has put, it
finds. Callers wait for a future of their own and never inside the Redis client, where Python 3.11
may lose a cancellation.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from runestone.lib.batching import Batcher
from runestone.lib.errors import Unavailable
from runestone.lib.redis import GONE

# After Redis was gone, or too slow, nothing is looked for or put for so long.
REST_SECONDS = 1.0
# Values are large: many of them in one go would keep those who look waiting.
BATCH_ITEMS_MAX = 32
# What waits to be put; the rest is let go.
WAITING_BYTES_MAX = 32 * 1024 * 1024

log = logging.getLogger(__name__)


class _Look(NamedTuple):
    name: str


class _Put(NamedTuple):
    name: str
    value: bytes
    seconds: int


class Shelf:
    """Belongs to one event loop. `redis` must give bytes, and is closed with the shelf."""

    def __init__(self, redis: Redis, look_seconds_max: float) -> None:
        """Whoever has waited for `look_seconds_max` goes on without."""
        self._redis = redis
        self._look_seconds_max = look_seconds_max
        self._batches: Batcher[_Look | _Put, bytes | None] = Batcher(
            self._send, batch_items_max=BATCH_ITEMS_MAX
        )
        self._waiting_bytes = 0
        # By the event loop's clock.
        self._rests_until = 0.0
        self._is_failing = False

    async def look(self, name: str) -> bytes | None:
        """None if it is not there, or if that cannot be told soon. Raises nothing."""
        if self._rests():
            return None
        try:
            answer = self._batches.submit(_Look(name))
        except Unavailable:
            return None
        done, _ = await asyncio.wait([answer], timeout=self._look_seconds_max)
        if not done:
            self._rest(TimeoutError(f"no answer within {self._look_seconds_max} s"))
            return None
        return answer.result()

    def put(self, name: str, value: bytes, seconds: int) -> None:
        """Never waits, and never raises."""
        if self._rests() or self._waiting_bytes + len(value) > WAITING_BYTES_MAX:
            return
        try:
            self._batches.submit(_Put(name, value, seconds))
        except Unavailable:
            return
        self._waiting_bytes += len(value)

    async def close(self) -> None:
        await self._batches.drain()
        await self._redis.aclose()

    async def _send(self, items: Sequence[_Look | _Put]) -> Sequence[bytes | None]:
        self._waiting_bytes -= sum(len(item.value) for item in items if isinstance(item, _Put))
        if self._rests():
            # Nobody waits for these any more, and the end of this process need not either.
            return [None] * len(items)
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for item in items:
                    if isinstance(item, _Put):
                        pipe.set(item.name, item.value, ex=item.seconds)
                    else:
                        pipe.get(item.name)
                # A command that fails, say for want of memory, fails alone.
                answers = await pipe.execute(raise_on_error=False)
        except GONE as error:
            self._rest(error)
            return [None] * len(items)
        if self._is_failing:
            log.warning("the answer cache works again")
        self._is_failing = False
        return [answer if isinstance(answer, bytes) else None for answer in answers]

    def _rests(self) -> bool:
        return asyncio.get_running_loop().time() < self._rests_until

    def _rest(self, error: BaseException) -> None:
        self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS
        if not self._is_failing:
            log.warning("the answer cache cannot be used: %s: %s", type(error).__name__, error)
        self._is_failing = True
