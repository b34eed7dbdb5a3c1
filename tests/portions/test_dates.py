"""What portions spent counts on the day on which they sent it, also where its rows were cut off."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from parquill import load_job
from parquill.clock import SystemClock
from parquill.days import day_at
from parquill.emulator import Emulator, EmulatorSettings, Spread
from parquill.errors import Stop
from parquill.job import Secret, state_home
from parquill.ledger import SPEND_SUMS, DatedSpend, ReadOnlyLedger, Spend
from parquill.money import PICO
from parquill.observers import Stoppable, Watched
from parquill.portions.coordinator import share_among
from parquill.portions.mailbox import Mailbox
from parquill.portions.spend import divide
from parquill.portions.work_order import Handover
from parquill.portions.worker import ask_portion
from parquill.running import run_job
from parquill.summary import RunSummary
from parquill.workspace import Workspace
from tests.orchestration.small_jobs import small_job, verified

KEY = Secret("sk-or-v1-0123456789")
DAY = 86_400.0


class Shifted(SystemClock):
    """The machine's clock, some seconds off."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def wall(self) -> float:
        return super().wall() + self.shift


class Here:
    """Asks portions in this process; when `enough` were sent, the run is stopped and cut off at once."""

    def __init__(self, clock: Shifted, enough: Callable[[], bool], then: Callable[[], object]) -> None:
        self._clock, self._enough, self._then = clock, enough, then
        self._runs: list[Stoppable] = []

    @contextlib.asynccontextmanager
    async def attach(self, run: Stoppable, _: Watched) -> AsyncIterator[None]:
        self._runs.append(run)
        yield

    async def work(self, posts: Sequence[Mailbox], commission: Handover) -> None:
        asking = [
            asyncio.create_task(ask_portion(mailbox, commission, run_job=run_job, key=KEY, clock=self._clock))
            for mailbox in posts
        ]
        while not self._enough():
            await self._clock.sleep(0.05)
        for run in self._runs:
            run.stop(Stop.SIGINT, "enough", grace=0)
        await asyncio.gather(*asking)
        self._then()


def booked(folder: Path) -> list[DatedSpend]:
    with ReadOnlyLedger.at(Workspace.of(str(folder / "out"), state_home()).ledger) as recorded:
        assert recorded is not None
        return recorded.spent()


def capped_job(folder: Path, emulator: Emulator, **budget: Any) -> dict[str, Any]:
    price = {"prompt": "0.001", "completion": "0.001"}
    model = {"endpoint": emulator.base_url, "price": price, "max_tokens": 200}
    return small_job(folder, rows=40, model=model, budget=budget, run={"workers": 2})


async def shared_and_cut_off(job: dict[str, Any], emulator: Emulator, clock: Shifted, later: float = 0.0) -> RunSummary:
    loaded, before = load_job(job), emulator.stats().requests

    def turn() -> None:
        clock.shift += later

    worker_pool = Here(clock, lambda: emulator.stats().requests >= before + 4, turn)
    return await run_job(
        loaded, key=KEY, clock=clock, attach=worker_pool.attach, spread=share_among(loaded, worker_pool)
    )


async def test_a_portion_that_was_cut_off_is_dated_by_when_it_sent(tmp_path: Path) -> None:
    """Its rows have no end, and were dated 1970: the day's cap was there twice."""
    async with Emulator(EmulatorSettings(latency=Spread(60.0))) as emulator:
        job = capped_job(tmp_path, emulator)
        begun = SystemClock().wall()
        stopped = await shared_and_cut_off(job, emulator, Shifted())
        sent, found = emulator.stats().requests, booked(tmp_path)
        assert stopped.stopped_by is Stop.SIGINT
        assert all(begun - 900 <= one.at <= SystemClock().wall() for one in found)
        assert sent <= sum(one.spent.requests for one in found) == stopped.requests
        assert sum(one.spent.pico for one in found) == stopped.cost_pico > 0
        job["run"]["workers"], spent = 1, sum(one.spent.pico for one in found)
        job["budget"] = {"usd": str(Decimal(spent) / PICO), "per": "day"}
        again = await run_job(load_job(job), key=KEY)
    assert (again.requests, again.stopped_by) == (0, Stop.BUDGET)
    assert verified(job).holds


async def test_what_a_portion_sent_yesterday_leaves_todays_cap_whole(tmp_path: Path) -> None:
    async with Emulator(EmulatorSettings(latency=Spread(60.0))) as emulator:
        job = capped_job(tmp_path, emulator)
        await shared_and_cut_off(job, emulator, Shifted(-DAY), later=DAY)
    today = day_at(SystemClock().wall(), dt.UTC)
    assert all(one.at < today.start for one in booked(tmp_path))
    spent = sum(one.spent.pico for one in booked(tmp_path))
    async with Emulator() as emulator:
        job["model"]["endpoint"] = emulator.base_url
        job["run"]["workers"], job["budget"] = 1, {"usd": str(Decimal(spent) / PICO), "per": "day"}
        again = await run_job(load_job(job), key=KEY)
    assert again.requests > 1
    assert verified(job).holds


SUMS = st.builds(Spend, *[st.integers(0, 50)] * 7)


@given(
    spent=st.dictionaries(st.integers(1, 9), SUMS, max_size=4),
    parts=st.lists(SUMS, max_size=4),
)
def test_parts_and_rest_are_what_the_portion_sent_quarter_by_quarter(
    spent: dict[int, Spend], parts: list[Spend]
) -> None:
    left, taken = [DatedSpend(*one) for one in spent.items()], []
    for part in parts:
        dated, left = divide(left, part, otherwise=100)
        assert all(sum(getattr(one.spent, name) for one in dated) == getattr(part, name) for name in SPEND_SUMS)
        taken += dated
    for quarter, had in spent.items():
        got = [one.spent for one in (*taken, *left) if one.quarter == quarter]
        assert all(sum(getattr(one, name) for one in got) == getattr(had, name) for name in SPEND_SUMS)


def test_a_report_of_an_earlier_version_is_still_read(tmp_path: Path) -> None:
    mailbox = Mailbox(str(tmp_path))
    (tmp_path / "post").mkdir()
    (tmp_path / "post" / "report.json").write_text(
        '{"spent": {"requests": 1, "pico": 2, "tokens": 3, "prompt_tokens": 1, "completion_tokens": 2, "doubts": 0, '
        '"doubt_pico": 0}, "stopped": null, "learned": {}}'
    )
    report = mailbox.report()
    assert report is not None
    assert (report.spent.pico, report.by_quarter) == (2, ())
