"""Whole runs at machines that sleep, whose clocks are set, or that have lost their ledger."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from parquill.clock import SystemClock
from parquill.emulator import Spread
from parquill.errors import Stop
from parquill.planning import RunOptions
from tests.clock import DAY, JUMPS
from tests.e2e.kit import rehearsal, rows

SHORT = {"model": {"max_tokens": 16}}


class Jumping(SystemClock):
    """The machine's clock; its wall time jumps each time that it has been read often enough, and no sleep is long."""

    def __init__(self, jumps: tuple[float, ...] = (), *, every: int = 1, shift: float = 0.0) -> None:
        self.jumps, self.every, self.shift, self.readings = jumps, every, shift, 0

    def wall(self) -> float:
        self.readings += 1
        if self.jumps and self.readings % self.every == 0:
            self.shift += self.jumps[self.readings // self.every % len(self.jumps)]
        return super().wall() + self.shift

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.02))


@pytest.mark.parametrize("jumps", JUMPS)
async def test_a_budget_holds_whatever_is_done_to_the_clock(tmp_path: Path, jumps: str) -> None:
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(60))
        clock = Jumping(JUMPS[jumps], every=7)
        first = await run.run(clock=clock, budget={"usd": "0.00005"})
        assert first.stopped_by is Stop.BUDGET
        assert run.bill().billed_pico <= 50_000_000
        again = await run.run(clock=clock, budget={"usd": "0.00005"})
        assert again.requests == 0
        await run.must_hold()


async def test_a_deadline_is_kept_by_a_machine_that_slept_through_it(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.05), sections=SHORT) as run:
        run.write(rows(200))
        clock = Jumping()
        options = RunOptions(deadline=clock.wall() + 8 * 3600)
        clock.jumps, clock.every = (8 * 3600.0,), 100
        summary = await run.run(options, clock=clock, limits={"max_in_flight": 2})
        assert summary.stopped_by is Stop.DEADLINE
        assert 0 < summary.rows.ok < 200
        await run.must_hold()


async def test_where_the_ledger_is_lost_what_parts_cost_counts_on_the_day_on_which_their_rows_ended(
    tmp_path: Path,
) -> None:
    budget = {"usd": "0.00005", "per": "day"}
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(60))
        assert (await run.run(clock=Jumping(shift=-DAY), budget=budget)).stopped_by is Stop.BUDGET
        for file in (tmp_path / "out.parquill").glob("ledger.sqlite*"):
            file.unlink()
        assert (await run.run(budget=budget)).requests > 0
        for file in (tmp_path / "out.parquill").glob("ledger.sqlite*"):
            file.unlink()
        assert (await run.run(budget=budget)).requests == 0
        assert (await run.books()).balanced


async def test_what_was_sent_while_the_clock_was_ahead_leaves_today_no_second_cap(tmp_path: Path) -> None:
    budget = {"usd": "0.00005", "per": "day"}
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(60))
        assert (await run.run(clock=Jumping(shift=DAY), budget=budget)).stopped_by is Stop.BUDGET
        assert (await run.run(budget=budget)).requests == 0


async def test_in_the_repeated_midnight_hour_the_day_is_the_one_that_began_an_hour_ago(tmp_path: Path) -> None:
    budget = {"usd": "0.00005", "per": "day", "timezone": "Atlantic/Azores"}
    first = dt.datetime(2026, 10, 25, 0, 20, tzinfo=dt.UTC).timestamp() - SystemClock().wall()
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(60))
        assert (await run.run(clock=Jumping(shift=first), budget=budget)).stopped_by is Stop.BUDGET
        assert (await run.run(clock=Jumping(shift=first + 3600), budget=budget)).requests == 0
        assert (await run.run(clock=Jumping(shift=first + DAY), budget=budget)).requests == 0, "the day has 25 hours"
        assert (await run.run(clock=Jumping(shift=first + DAY + 3600), budget=budget)).requests > 0
