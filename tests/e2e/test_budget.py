"""Spend never passes the cap, whatever the concurrency, retries, time-outs and deaths."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parquill.clock import SystemClock
from parquill.emulator import Misbehaviour, Spread
from parquill.errors import Stop
from parquill.money import PICO
from parquill.planning import RunOptions
from parquill.summary import RunSummary
from tests.e2e.dying import die_when
from tests.e2e.kit import Rehearsal, rehearsal, rows

SHORT: dict[str, Any] = {"model": {"max_tokens": 16}, "output": {"rows_per_part": 2000}}
CAPS = ("0.001", "0.01", "0.1")
IN_FLIGHT = (1, 32, 200, 1000)
ROWS = 3000
"""More than any of the caps pays for, at `prices`."""


def cells(*fast: tuple[str, int]) -> list[Any]:
    """Every cap at every concurrency; `fast` in the fast lane, the others in chaos."""
    return [
        pytest.param(cap, most, marks=() if (cap, most) in fast else pytest.mark.chaos)
        for cap in CAPS
        for most in IN_FLIGHT
    ]


WEATHER = {
    Misbehaviour.SERVER_ERROR: 0.05,
    Misbehaviour.NO_USAGE: 0.02,
    Misbehaviour.RESET_LATE: 0.02,
    Misbehaviour.NULL_CONTENT: 0.05,
}


def prices(cap: str) -> dict[str, Decimal]:
    """Prices at which a row's worst case is under a thousandth of a cap, whichever it is."""
    return {"prompt_price": Decimal(cap) / 100_000, "completion_price": Decimal(cap) / 50_000}


def sections(in_flight: int, **more: Any) -> dict[str, Any]:
    return {**SHORT, "limits": {"max_in_flight": in_flight, "requests_per_minute": 10_000_000}, **more}


def in_pico(usd: str) -> int:
    return round(float(usd) * PICO)


def next_worst_pico(summary: RunSummary) -> int:
    """The next row's worst case, as the message of a budget stop names it, beside cap, spent and reserved."""
    said = re.search(
        r"cap \$[\d.]+, spent \$[\d.]+, reserved \$0, the next row's worst case \$([\d.]+)", summary.stop_message or ""
    )
    assert said, summary.stop_message
    return in_pico(said[1])


async def judge(run: Rehearsal, cap: str, *, least: float = 0.0) -> None:
    """Neither the other side's bill nor our books pass the cap; where it can be used up, it is."""
    bill, books = run.bill().billed_pico, await run.books()
    print(f"cap ${cap}: billed {bill / in_pico(cap):.2%}, booked {books.runs_pico / in_pico(cap):.2%}")
    assert bill <= books.runs_pico <= in_pico(cap)
    assert books.runs_pico >= least * in_pico(cap)
    assert books.balanced
    await run.must_hold(budget={"usd": cap})


@pytest.mark.parametrize(("cap", "in_flight"), cells(("0.001", 1), ("0.01", 200)))
@pytest.mark.timeout(600)
async def test_a_cap_is_used_to_97_percent_and_never_passed(cap: str, in_flight: int, tmp_path: Path) -> None:
    latency = Spread(0.01, 0.5) if in_flight > 1 else Spread()
    async with rehearsal(tmp_path, sections=sections(in_flight), latency=latency, **prices(cap)) as run:
        run.write(rows(ROWS))
        summary = await run.run(budget={"usd": cap})
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.BUDGET, 4, 0)
        assert next_worst_pico(summary) < in_pico(cap) / 1000
        await judge(run, cap, least=0.97)


@pytest.mark.parametrize(("cap", "in_flight"), cells(("0.1", 32)))
@pytest.mark.timeout(600)
async def test_retries_time_outs_and_deaths_do_not_pass_a_cap(
    cap: str, in_flight: int, tmp_path: Path, kills: int
) -> None:
    """What was in flight at a death stays booked at its worst case, and counts as used."""
    chance, budget = random.Random(in_flight), {"usd": cap}
    weather = {**WEATHER, Misbehaviour.STALL: 0.02 if in_flight > 1 else 0.002}
    # An attempt has a third of it; a thousand at once take a small machine seconds by themselves.
    patience = 3 if in_flight <= 32 else 24
    job = sections(in_flight, retry={"deadline_seconds": patience})
    latency = Spread(0.01, 0.5) if in_flight > 1 else Spread()
    async with rehearsal(
        tmp_path, sections=job, seed=5, stall_seconds=patience, misbehaviour=weather, latency=latency, **prices(cap)
    ) as run:
        run.write(rows(ROWS))
        path = run.job_file(budget=budget)
        for _ in range(min(max(kills // 10, 2), 8)):
            due = run.asked + chance.randint(1, 100)
            await die_when(path, lambda due=due: run.asked >= due)  # type: ignore[misc]  # binds the loop's value
        doubts = await run.doubts()
        print(f"{doubts} requests in flight at a death")
        assert doubts > 0 or in_flight == 1
        summary = await run.run(budget=budget)
        assert summary.stopped_by is Stop.BUDGET
        await judge(run, cap, least=0.97)


async def test_after_a_budget_stop_the_same_command_sends_nothing_and_says_how_to_go_on(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(100))
        await run.run(budget={"usd": "0.00005"})
        asked = run.asked
        assert 0 < asked < 100
        end = await run.command("run", "--json", budget={"usd": "0.00005"})
        assert (end.status, end.json["stopped_by"], end.json["requests"], run.asked) == (4, "budget", 0, asked)
        said = (await run.command("run", budget={"usd": "0.00005"})).err
        assert "budget.usd" in said and "--fresh-budget" in said
        assert (await run.run(RunOptions(fresh_budget=True), budget={"usd": "0.00005"})).requests > 0
        assert run.asked < 100
        larger = await run.run(budget={"usd": "1"})
        assert larger.rows.ok == 100
        assert run.asked == 100
        await run.must_hold()


async def test_a_small_row_does_not_slip_through_after_a_budget_stop(tmp_path: Path) -> None:
    """What is left of the cap would do for a short row: the stop still stands until the user lifts it."""
    async with rehearsal(tmp_path, sections={**SHORT, "limits": {"max_in_flight": 1}}) as run:
        long = ["word " * 400 for _ in range(20)]
        run.write({"id": list(range(21)), "text": [*(f"{at} {text}" for at, text in enumerate(long)), "short"]})
        first = await run.run(budget={"usd": "0.0001"})
        assert first.stopped_by is Stop.BUDGET
        assert (await run.run(budget={"usd": "0.0001"})).requests == 0


class Tomorrow(SystemClock):
    """The machine's clock, one day ahead."""

    def wall(self) -> float:
        return super().wall() + 86_400


async def test_a_cap_for_a_day_starts_anew_on_the_next(tmp_path: Path) -> None:
    budget = {"usd": "0.00005", "per": "day"}
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(60))
        first = await run.run(budget=budget)
        assert first.stopped_by is Stop.BUDGET
        assert (await run.run(budget=budget)).requests == 0
        second = await run.run(clock=Tomorrow(), budget=budget)
        assert second.requests > 0
        await run.must_hold()


async def test_a_budget_in_tokens_holds(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=SHORT) as run:
        run.write(rows(100))
        summary = await run.run(budget={"tokens": 1500})
        assert (summary.stopped_by, summary.exit_status) == (Stop.BUDGET, 4)
        bill = run.bill()
        assert 1000 < bill.prompt_tokens + bill.completion_tokens <= 1500
        assert (await run.run(budget={"tokens": 1500})).requests == 0
        await run.must_hold()


async def test_a_price_of_nothing_beside_an_endpoint_that_bills_leaves_a_record_and_says_so(tmp_path: Path) -> None:
    """It divided by the listed price of 0 after every row was paid: exit 1, and no run record."""
    free = {"model": {"price": {"prompt": "0", "completion": "0"}}}
    async with rehearsal(tmp_path, sections=free) as run:
        run.write(rows(5))
        summary = await run.run()
        assert summary.rows.ok == 5
        assert summary.cost_pico == run.bill().billed_pico > 0
        (told,) = [notice for notice in summary.notices if "THE PRICE DIFFERS" in notice]
        assert "gives $0. " in told
        assert len(list((tmp_path / "out.parquill" / "runs").iterdir())) == 1
        await run.must_hold()
        assert (await run.command("estimate", "--json")).status == 0
        assert (await run.command("report")).status == 0
