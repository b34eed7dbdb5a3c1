"""An interrupt of a call from Python stops the run, also in the caller's event loop; it does not leave it sending."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from pathlib import Path

import pytest

import parquill
from parquill.clock import SystemClock
from parquill.emulator import Misbehaviour, Spread
from parquill.interruptible_call import wait_for
from parquill.planning import RunOptions
from parquill.report.runs import read_nights
from parquill.storage import Storage
from tests.e2e.forked import Script, started
from tests.e2e.kit import ROOT, Rehearsal, rehearsal, rows, until

PLAIN = "summary = parquill.run(sys.argv[1])"
IN_A_LOOP = """
import asyncio
async def cell():
    parquill.run(sys.argv[1])
asyncio.run(cell())
"""
OWN_HANDLER = """
import signal
def heard(*_):
    raise KeyboardInterrupt("a notebook's own")
signal.signal(signal.SIGINT, heard)
parquill.run(sys.argv[1])
"""
AROUND = """
import sys, threading
import parquill
try:
{body}
except KeyboardInterrupt as interrupt:
    print("interrupted:", interrupt, [t.name for t in threading.enumerate() if t.name.startswith("parquill")])
    sys.exit(99)
"""


async def interrupted(run: Rehearsal, body: str, *, times: int = 1) -> tuple[int, str]:
    """Run a script on a job, interrupt it while requests are in flight, and return how it ended."""
    script = AROUND.format(body="\n".join(f"    {line}" for line in body.strip().splitlines()))
    process = started(Script(script, str(run.job_file())), folder=ROOT)
    await until(lambda: run.asked >= 40 or not process.is_running)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        await SystemClock().sleep(0.3)  # two signals at once are one to Python
    end = await process.ended()
    return end.status, end.out + end.err


@pytest.mark.parametrize("body", [PLAIN, IN_A_LOOP, OWN_HANDLER], ids=["script", "running loop", "own handler"])
async def test_an_interrupted_call_stops_the_run_and_closes_its_books(body: str, tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.3), sections={"output": {"rows_per_part": 50}}) as run:
        run.write(rows(400))
        status, said = await interrupted(run, body)
        assert status == 99, said
        assert said.startswith("interrupted: the work was stopped and its books are closed")
        assert said.rstrip().endswith("[]"), "no thread is left"
        asked = run.asked
        assert run.column("id") == rows(400)["id"]
        assert run.column("status").count("ok") == asked < 400, "what was in flight came in"
        record = read_nights(Storage.at(tmp_path / "out.parquill"), None).current
        assert record is not None and record.summary.stopped_by == "sigint"
        await run.must_hold()
        assert (await run.run()).rows.ok == 400
        assert run.asked == 400


async def test_a_second_interrupt_cuts_off_what_is_in_flight(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, stall_seconds=60.0) as run:
        run.write(rows(60))
        run.emulator.plan(*[None] * 10, *[Misbehaviour.STALL] * 50)
        async with asyncio.timeout(40):
            status, _ = await interrupted(run, PLAIN, times=2)
        assert status == 99
        assert run.column("status").count("ok") == 10
        assert (await run.books()).balanced


async def test_an_interrupt_before_anything_is_sent_cancels_the_work() -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    def interrupt() -> None:
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        wait_for(lambda _: work())
    assert signal.getsignal(signal.SIGINT) is before


async def test_a_run_that_is_awaited_drains_when_its_task_is_cancelled(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.1), sections={"output": {"rows_per_part": 50}}) as run:
        run.write(rows(200))
        task = asyncio.ensure_future(parquill.run_async(run.source()))
        await until(lambda: run.asked >= 40)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert run.column("status").count("ok") == run.asked < 200
        summary = await parquill.run_async(run.source(), ["limits.max_in_flight=8"], options=RunOptions())
        assert (summary.rows.ok, run.asked) == (200, 200)
        await run.must_hold()
