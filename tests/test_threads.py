"""Work in threads: it ends soon after its caller was cancelled, and nothing of it keeps a process alive."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.clock import SystemClock
from parquill.emulator import Emulator, EmulatorSettings
from parquill.estimation import estimate_job
from parquill.job import Job, load_job
from parquill.threads import StoppedError, in_thread, stop_point, wait_in

ROOT = Path(__file__).parents[1]


async def all_ended() -> None:
    """Wait for threads that work; one has told its result a moment before it ends."""
    for one in threading.enumerate():
        if one.name == "parquill-work":
            await asyncio.to_thread(one.join)


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_in_a_thread_gives_its_result_or_its_fault() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)
    await all_ended()


async def test_cancelled_work_ends_at_its_next_stop_point_before_its_caller_goes_on() -> None:
    begun, ended = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            while True:
                begun.set()
                stop_point()
        except StoppedError as stopped:
            ended.append(stopped)
            raise

    task = asyncio.ensure_future(in_thread(work))
    await in_thread(begun.wait)
    await cancelled(task)
    assert len(ended) == 1
    stop_point()  # a caller of its own is not stopped by it


async def test_cancelled_work_that_waits_for_the_loop_ends_and_what_it_waits_for_is_cancelled() -> None:
    begun, awaited = asyncio.Event(), list[str]()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            awaited.append("cancelled")
            raise

    task = asyncio.ensure_future(in_thread(wait_in(asyncio.get_running_loop()), forever()))
    await begun.wait()
    await cancelled(task)
    assert awaited == ["cancelled"]
    await all_ended()


async def test_work_that_is_stuck_is_left_behind() -> None:
    begun, free, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    def stuck() -> None:
        threads.append(threading.current_thread())
        begun.set()
        free.wait()

    task = asyncio.ensure_future(in_thread(stuck))
    await in_thread(begun.wait)
    async with asyncio.timeout(30):
        await cancelled(task)
    assert [(thread.is_alive(), thread.daemon) for thread in threads] == [(True, True)]
    free.set()
    await all_ended()


STUCK = """
import asyncio, threading
from parquill.event_loop import run_alone
from parquill.signal_exit import ending_soon
from parquill.threads import in_thread

def stuck():
    threading.Event().wait()

async def work():
    asyncio.get_running_loop().run_in_executor(None, stuck)
    reading = asyncio.ensure_future(in_thread(stuck))
    await asyncio.sleep(0)
    print("reads", flush=True)
    try:
        await reading
    finally:
        print("closed", flush=True)

with ending_soon():
    run_alone(work())
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_ends_though_its_threads_are_stuck(number: signal.Signals, status: int) -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (status, "closed\n")


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Job]:
    rows = 60_000
    texts = [f"thing number {row}" for row in range(rows)]
    pq.write_table(pa.table({"id": range(rows), "text": texts}), tmp_path / "m.parquet")
    async with Emulator(EmulatorSettings()) as emulator:
        yield load_job(
            {
                "name": "dry",
                "manifest": {"path": str(tmp_path / "m.parquet"), "id_column": "id"},
                "prompt": {"user_column": "text"},
                "output": {"path": str(tmp_path / "out")},
                "model": {"endpoint": emulator.base_url, "max_tokens": 64},
            }
        )


async def test_an_estimate_that_is_cancelled_reads_no_further_and_leaves_no_half_file(job: Job, tmp_path: Path) -> None:
    folder = tmp_path / "out.parquill"
    task = asyncio.ensure_future(estimate_job(job))
    while not list(folder.glob(".part-*")):
        await SystemClock().sleep(0.01)
    await cancelled(task)
    await all_ended()  # also of one that the machine was too busy for within a second
    assert not list(folder.iterdir())
