"""Room for decoded pixels: counted by size, given in order, refused when the line is full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from serving.engine.inference import QueueFull
from serving.pixel_budget import PixelBudget


class Holder:
    """Somebody who keeps room until told to let go."""

    def __init__(self, budget: PixelBudget, pixels: int) -> None:
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._hold(budget, pixels))

    async def _hold(self, budget: PixelBudget, pixels: int) -> None:
        async with budget.hold(pixels):
            self.inside = True
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))  # type: ignore[arg-type]


def test_a_few_huge_files_wait_for_each_other_and_many_small_ones_do_not() -> None:
    async def test() -> None:
        budget = PixelBudget(100)
        small = [Holder(budget, 2) for _ in range(20)]
        huge = [Holder(budget, 50) for _ in range(2)]
        await settled()
        assert all(one.inside for one in small)
        assert [one.inside for one in huge] == [True, False]
        for one in small:
            await one.leave()
        await settled()
        assert huge[1].inside
        await asyncio.gather(*(one.leave() for one in huge))

    run(test)


def test_a_large_file_is_not_overtaken_for_ever_by_small_ones() -> None:
    async def test() -> None:
        budget = PixelBudget(100)
        first, large, small = Holder(budget, 60), Holder(budget, 90), Holder(budget, 10)
        await settled()
        assert (first.inside, large.inside, small.inside) == (True, False, False)
        await first.leave()
        await settled()
        assert (large.inside, small.inside) == (True, True)
        await asyncio.gather(large.leave(), small.leave())

    run(test)


def test_a_file_larger_than_all_room_is_let_in_alone() -> None:
    async def test() -> None:
        budget = PixelBudget(100)
        one = Holder(budget, 1000)
        await settled()
        assert one.inside
        other = Holder(budget, 1)
        await settled()
        assert not other.inside
        await one.leave()
        await other.leave()

    run(test)


def test_a_full_line_is_refused_with_when_to_come_again() -> None:
    async def test() -> None:
        budget = PixelBudget(10, waiting=1)
        inside, waits = Holder(budget, 10), Holder(budget, 10)
        await settled()
        with pytest.raises(QueueFull) as full:
            async with budget.hold(1):
                pass
        assert full.value.retry_after_s > 0
        await inside.leave()
        await waits.leave()

    run(test)


def test_who_gives_up_waiting_or_fails_inside_leaves_no_room_taken() -> None:
    async def test() -> None:
        budget = PixelBudget(10)
        inside, gone, next_one = Holder(budget, 10), Holder(budget, 10), Holder(budget, 10)
        await settled()
        gone.task.cancel()
        await settled()
        await inside.leave()
        await settled()
        assert next_one.inside
        await next_one.leave()
        with pytest.raises(RuntimeError):
            async with budget.hold(10):
                raise RuntimeError("the file was bad")
        async with budget.hold(10):
            pass

    run(test)


def test_one_let_in_and_cancelled_at_the_same_moment_gives_its_room_back() -> None:
    async def test() -> None:
        budget = PixelBudget(10)
        inside, unlucky = Holder(budget, 10), Holder(budget, 10)
        await settled()
        inside.task.cancel()  # its room is given on while it ends …
        await asyncio.sleep(0)
        unlucky.task.cancel()  # … to one who leaves in the same turn of the loop
        await settled()
        async with budget.hold(10):
            pass

    run(test)
