import asyncio
from collections.abc import Sequence

import pytest

from runestone.lib.batching import Batcher
from runestone.lib.errors import Unavailable


class Line:
    """A send that waits for its turn: the test says when each batch arrives."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._turns: asyncio.Semaphore = asyncio.Semaphore(0)
        self.fails: set[int] = set()

    async def send(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self._turns.acquire()
        if self.fails & set(items):
            raise ConnectionError(f"lost {items}")
        return [item * 10 for item in items]

    async def arrive(self) -> None:
        self._turns.release()
        for _ in range(5):
            await asyncio.sleep(0)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_works():
    async def send(items: Sequence[int]) -> list[int]:
        return [item * 10 for item in items]

    assert await Batcher(send).submit(4) == 40


async def test_what_waits_during_a_flight_leaves_together():
    line = Line()
    batcher = Batcher(line.send)
    first = batcher.submit(1)
    await settled()
    others = [batcher.submit(number) for number in (2, 3, 4)]
    await settled()
    assert line.batches == [[1]]
    await line.arrive()
    assert await first == 10
    assert line.batches == [[1], [2, 3, 4]]
    await line.arrive()
    assert await asyncio.gather(*others) == [20, 30, 40]


async def test_a_batch_has_a_bound_and_order_is_kept():
    line = Line()
    batcher = Batcher(line.send, batch_items_max=3)
    futures = [batcher.submit(number) for number in range(8)]
    for _ in range(3):
        await line.arrive()
    assert line.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert await asyncio.gather(*futures) == [number * 10 for number in range(8)]


async def test_a_failure_reaches_the_callers_of_its_batch_only():
    line = Line()
    line.fails = {2}
    batcher = Batcher(line.send, batch_items_max=2)
    futures = [batcher.submit(number) for number in (1, 2, 3, 4)]
    await line.arrive()
    await line.arrive()
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError, int, int]


async def test_a_caller_that_leaves_disturbs_nobody():
    line = Line()
    batcher = Batcher(line.send)
    first, second, third = (batcher.submit(number) for number in (1, 2, 3))
    second.cancel()
    await settled()
    first.cancel()
    await line.arrive()
    assert await third == 30
    assert first.cancelled()
    assert await asyncio.wait_for(submitted_and_arrived(batcher, line), 1) == 50


async def submitted_and_arrived(batcher: Batcher[int, int], line: Line) -> int:
    future = batcher.submit(5)
    await line.arrive()
    return await future


async def test_a_full_waiting_room_says_so():
    line = Line()
    batcher = Batcher(line.send, waiting_items_max=2)
    in_flight = batcher.submit(0)
    await settled()
    waiting = [batcher.submit(number) for number in (1, 2)]
    with pytest.raises(Unavailable) as caught:
        batcher.submit(3)
    assert caught.value.status == 503
    await line.arrive()
    await line.arrive()
    assert await asyncio.gather(in_flight, *waiting) == [0, 10, 20]
    assert await asyncio.wait_for(submitted_and_arrived(batcher, line), 1) == 50


async def test_draining_waits_for_all_that_was_submitted():
    line = Line()
    batcher = Batcher(line.send, batch_items_max=1)
    futures = [batcher.submit(number) for number in (1, 2)]
    draining = asyncio.ensure_future(batcher.drain())
    await line.arrive()
    assert not draining.done()
    await line.arrive()
    await asyncio.wait_for(draining, 1)
    assert all(future.done() for future in futures)


async def test_draining_an_idle_batcher_returns_at_once():
    await asyncio.wait_for(Batcher(Line().send).drain(), 1)
    assert True


async def test_a_wrong_number_of_results_hangs_nobody():
    async def send(items: Sequence[int]) -> list[int]:
        return [0] if items == [1, 2] else [0] * len(items)

    batcher = Batcher(send)
    first, second = batcher.submit(1), batcher.submit(2)
    await asyncio.wait([first, second], timeout=1)
    assert first.done()
    assert second.done()
    assert await asyncio.wait_for(batcher.submit(3), 1) == 0
