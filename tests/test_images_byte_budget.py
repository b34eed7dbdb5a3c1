"""Memory is shared in bytes, first come first served."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.images.byte_budget import ByteBudget
from tests.clock import settle
from tests.lanes import examples


async def test_who_came_first_is_served_first_even_if_it_wants_more() -> None:
    budget = ByteBudget(100)
    served: list[str] = []

    async def hold(name: str, size: int, release: asyncio.Event) -> None:
        async with budget.lease() as lease:
            await lease.hold(size)
            served.append(name)
            await release.wait()

    first, rest = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.ensure_future(hold("half", 50, first)), asyncio.ensure_future(hold("large", 90, rest))]
    tasks += [asyncio.ensure_future(hold(f"small {n}", 5, rest)) for n in range(3)]
    await settle()
    assert served == ["half"]
    first.set()
    await settle()
    assert served == ["half", "large", "small 0", "small 1"]
    assert budget.held == 100
    rest.set()
    await asyncio.gather(*tasks)
    assert budget.held == 0


async def test_a_file_larger_than_all_memory_waits_until_it_is_alone() -> None:
    budget = ByteBudget(100)
    async with budget.lease() as lease:
        await lease.hold(10**9)
        assert budget.held == 100
        lease.trim(30)
        assert budget.held == 30
        lease.trim(60)
        assert budget.held == 30
        await lease.hold(70)
        assert budget.held == 70


async def test_a_cancelled_waiter_takes_nothing_and_delays_no_other() -> None:
    budget = ByteBudget(100)
    await budget.take(80)
    large = asyncio.ensure_future(budget.take(90))
    small = asyncio.ensure_future(budget.take(10))
    await settle()
    assert not small.done()
    large.cancel()
    await settle()
    assert small.done()
    assert budget.held == 90
    granted = asyncio.ensure_future(budget.take(50))
    await settle()
    budget.give(80)
    granted.cancel()  # it was given its bytes already, but never learns of it
    await asyncio.gather(granted, return_exceptions=True)
    assert budget.held == 10


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(st.integers(0, 150), st.integers(1, 4), st.booleans()), max_size=30))
def test_never_more_than_all_of_it_and_all_of_it_comes_back(files: list[tuple[int, int, bool]]) -> None:
    async def run() -> None:
        budget = ByteBudget(100)

        async def one(size: int, turns: int) -> None:
            async with budget.lease() as lease:
                await lease.hold(size)
                for _ in range(turns):
                    assert 0 <= budget.held <= 100
                    await asyncio.sleep(0)
                lease.trim(size // 2)
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(one(size, turns)) for size, turns, _ in files]
        await asyncio.sleep(0)
        for task, (_, _, given_up) in zip(tasks, files, strict=True):
            if given_up:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.held == 0

    asyncio.run(run())
