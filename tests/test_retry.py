"""One level of retry: each row its own, with jitter that doubles, and no wait of its own when throttled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from parquill.retry import FIRST_WAIT, LONGEST_WAIT, RetryPolicy, again
from tests.clock import ManualClock, settle

pytestmark = pytest.mark.usefixtures("jumping")

BAD, SLOW, RESTING, GOOD = "bad", "slow", "resting", "good"


class Highest(random.Random):
    """Draws the top of every range: waits become what they may be at most."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Row:
    """Gives its results in order and remembers when each was asked for."""

    def __init__(self, clock: ManualClock, *results: str, may: Callable[[], bool] = lambda: True) -> None:
        self.clock = clock
        self.results = list(results)
        self.times: list[float] = []
        self.may = may

    async def attempt(self) -> str:
        self.times.append(self.clock.monotonic())
        await asyncio.sleep(0)
        return self.results.pop(0)

    async def run(self, rng: random.Random | None = None) -> str:
        """The first attempt, and what follows it."""
        return await again(
            self.attempt,
            await self.attempt(),
            wants=lambda result: result in (BAD, SLOW, RESTING),
            may=self.may,
            rest={SLOW: 0.0, RESTING: 2.0}.get,
            sleep=self.clock.sleep,
            rng=rng or Highest(),
        )


async def finished(row: Row, clock: ManualClock, rng: random.Random | None = None) -> str:
    task = asyncio.create_task(row.run(rng))
    await settle()
    while not task.done():
        await clock.advance(LONGEST_WAIT)
    return await task


async def test_a_good_first_result_is_returned_without_another_attempt() -> None:
    row = Row(ManualClock(), GOOD)
    assert await row.run() == GOOD
    assert row.times == [0.0]


async def test_attempts_go_on_until_a_result_is_good() -> None:
    clock = ManualClock()
    row = Row(clock, BAD, BAD, BAD, GOOD, BAD)
    assert await finished(row, clock) == GOOD
    assert row.results == [BAD]


async def test_a_row_that_may_not_go_on_keeps_its_last_result() -> None:
    clock = ManualClock()
    row = Row(clock, BAD, GOOD, may=lambda: False)
    assert await row.run() == BAD
    assert row.times == [0.0]
    few = Row(clock, BAD, BAD, SLOW, GOOD)
    few.may = lambda: len(few.times) < 3
    assert await finished(few, clock) == SLOW


async def test_waits_double_up_to_half_a_minute() -> None:
    clock = ManualClock()
    row = Row(clock, *[BAD] * 10, GOOD)
    assert await finished(row, clock) == GOOD
    waits = [later - earlier for earlier, later in zip(row.times, row.times[1:], strict=False)]
    assert waits == [min(LONGEST_WAIT, FIRST_WAIT * 2**number) for number in range(10)]


async def test_waits_are_jittered_over_their_whole_range() -> None:
    clock, rng = ManualClock(), random.Random(7)
    rows = [Row(clock, BAD, GOOD) for _ in range(200)]
    tasks = [asyncio.create_task(row.run(rng)) for row in rows]
    await clock.advance(60)
    await asyncio.gather(*tasks)
    waits = [row.times[1] for row in rows]
    assert min(waits) < 0.05
    assert 0.45 < max(waits) <= FIRST_WAIT
    assert 0.2 < sum(waits) / len(waits) < 0.3


async def test_a_throttled_row_waits_nothing_of_its_own_and_does_not_lengthen_later_waits() -> None:
    """How long to wait is the gate's decision: the next attempt waits there."""
    clock = ManualClock()
    row = Row(clock, SLOW, SLOW, SLOW, BAD, GOOD)
    assert await finished(row, clock) == GOOD
    assert row.times == [0.0, 0.0, 0.0, 0.0, FIRST_WAIT]


async def test_a_throttled_row_waits_as_long_as_the_endpoint_asks() -> None:
    clock = ManualClock()
    row = Row(clock, RESTING, RESTING, GOOD)
    assert await finished(row, clock) == GOOD
    assert row.times == [0.0, 2.0, 4.0]


async def test_a_hundred_rows_at_once_do_not_mix_their_states() -> None:
    """A retryer shared between tasks once gave failures back as successes and ran good calls twice."""
    clock, rng = ManualClock(), random.Random(3)
    plans = [[BAD] * (number % 5) + [f"answer {number}"] for number in range(100)]
    rows = [Row(clock, *plan) for plan in plans]
    tasks = [asyncio.create_task(row.run(rng)) for row in rows]
    await clock.advance(120)
    assert await asyncio.gather(*tasks) == [plan[-1] for plan in plans]
    assert [len(row.times) for row in rows] == [len(plan) for plan in plans]


async def test_an_exception_goes_through_at_once() -> None:
    clock = ManualClock()
    row = Row(clock, BAD)  # the second attempt finds nothing and raises
    with pytest.raises(IndexError):
        await finished(row, clock)
    assert len(row.times) == 2


async def test_a_row_that_is_cancelled_while_it_waits_makes_no_further_attempt() -> None:
    clock = ManualClock()
    row = Row(clock, BAD, GOOD)
    task = asyncio.create_task(row.run())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await clock.advance(60)
    assert row.results == [GOOD]


async def test_whether_there_is_time_is_asked_after_the_wait_as_well() -> None:
    """A row with a little time left drew a long wait, and was sent when it was over: cut off at once, and paid."""
    clock = ManualClock()
    row = Row(clock, BAD, BAD, GOOD)
    row.may = lambda: clock.monotonic() < FIRST_WAIT + 0.1
    assert await finished(row, clock) == BAD
    assert row.times == [0.0, FIRST_WAIT]


@pytest.mark.parametrize(
    ("left", "taken", "enough"),
    [(0.3, 0.6, False), (0.7, 0.6, False), (0.8, 0.6, True), (0.15, 0.0, False), (0.2, 0.0, True), (-1.0, 0.0, False)],
)
def test_an_attempt_that_cannot_end_is_none(left: float, taken: float, enough: bool) -> None:
    assert RetryPolicy(6, deadline_seconds=2.0).is_enough(left, taken) is enough
