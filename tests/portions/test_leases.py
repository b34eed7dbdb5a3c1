"""A portion whose run says nothing for a minute stops by itself; time is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from parquill import load_job
from parquill.clock import SystemClock
from parquill.emulator import Emulator
from parquill.errors import OutputError, Stop
from parquill.job import Secret
from parquill.planning.selection import EVERY
from parquill.portions.mailbox import LEASE, Mailbox, Signal
from parquill.portions.work_order import Handover, WorkOrder, order_of
from parquill.portions.worker import ask_portion
from parquill.running import run_job
from tests.clock import ManualClock
from tests.orchestration.small_jobs import small_job

KEY = Secret("sk-or-v1-0123456789")


class Heard(Mailbox):
    """A post that counts how often its process looked for a word."""

    looks = 0

    def told(self) -> Signal | None:
        self.looks += 1
        return super().told()


async def until(look: Callable[[], bool]) -> None:
    """Give threads their time, a second at most."""
    for _ in range(200):
        if look():
            return
        await SystemClock().sleep(0.005)


@pytest.mark.parametrize("last_word", [0.0, 100.0])
async def test_a_portion_stops_a_minute_after_its_runs_last_word(tmp_path: Path, last_word: float) -> None:
    clock, rate, place = ManualClock(), 60, str(tmp_path / "one")
    async with Emulator() as emulator:
        job = small_job(tmp_path, rows=300, model={"endpoint": emulator.base_url}, output={"path": f"{place}/out"})
        job["limits"] = {"requests_per_minute": rate}
        rows, told = {"manifest.000000.parquet": EVERY}, Handover(order_of(load_job(job)), str(tmp_path))
        mailbox = Heard(place)
        mailbox.open(WorkOrder("one", place, 1, order_of(load_job(job)), rows, emulated=False))
        asking = asyncio.create_task(ask_portion(mailbox, told, run_job=run_job, key=KEY, clock=clock))
        while not asking.done():
            looks = mailbox.looks
            if clock.monotonic() <= last_word:
                mailbox.tell(Signal(int(clock.monotonic())))
            await clock.advance(1.0)
            await until(lambda looks=looks: mailbox.looks > looks or asking.done())  # type: ignore[misc]  # binds the loop's value
        summary, report = asking.result(), mailbox.report()

    assert last_word + LEASE <= clock.monotonic() <= last_word + LEASE + 30
    assert report is not None
    assert report.stopped == (Stop.SIGTERM, "the run's first process is gone")
    assert 0 < report.spent.requests == summary.requests <= (clock.monotonic() + 60) * rate / 60
    assert summary.rows.not_attempted == 300 - summary.requests


async def test_a_process_that_does_not_see_the_runs_folder_asks_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="this machine does not see the run's folder"):
        await ask_portion(
            Mailbox(str(tmp_path / "unseen")), Handover({}, "/"), run_job=run_job, key=KEY, clock=ManualClock()
        )
