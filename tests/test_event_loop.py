"""Tasks: a fault in one is reported, whether or not it is awaited."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from parquill.event_loop import Tasks, meanwhile, to_its_end, together


class OursError(Exception):
    pass


class ExpectedError(Exception):
    pass


async def fail(fault: BaseException | None = None, *, after: asyncio.Event | None = None) -> None:
    if after is not None:
        await after.wait()
    raise fault or OursError("lost")


async def forever() -> None:
    await asyncio.Event().wait()


async def test_the_owner_of_tasks_hears_of_each_fault_and_of_no_cancellation() -> None:
    faults: list[BaseException] = []
    tasks = Tasks[None](faults.append)
    for work in (fail(), forever(), asyncio.sleep(0), fail(ValueError())):
        tasks.start(work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks.cancel()
    await tasks.all_ended()
    assert [type(fault) for fault in faults] == [OursError, ValueError]
    assert not tasks.running


async def test_a_fault_beside_the_body_cancels_it_and_is_raised() -> None:
    with pytest.raises(OursError):
        async with meanwhile(forever(), fail()):
            await forever()
    await asyncio.sleep(0)  # this test's own task is not cancelled any more
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # a task runs


async def test_a_fault_in_the_bodys_last_step_is_raised_too() -> None:
    last = asyncio.Event()
    with pytest.raises(OursError):
        async with meanwhile(fail(after=last)):
            await asyncio.sleep(0)
            last.set()
            await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_body_that_ends_well_ends_what_runs_beside_it() -> None:
    ended = []

    async def turn() -> None:
        try:
            await forever()
        finally:
            ended.append(True)

    async with meanwhile(turn(), turn()):
        await asyncio.sleep(0)
    assert ended == [True, True]


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def body() -> None:
        async with meanwhile(forever()):
            await forever()

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_bodys_own_fault_is_raised_and_the_other_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise ValueError("of the body") from None

    with pytest.raises(ValueError, match="of the body"):
        async with meanwhile(fail()):
            await body()
    (record,) = [record for record in caplog.records if record.name == "parquill.event_loop"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OursError)


async def test_of_faults_together_the_first_in_order_is_raised_but_an_unexpected_one_before_it() -> None:
    late = asyncio.Event()

    async def release() -> str:
        late.set()
        return "x"

    with pytest.raises(ExpectedError, match="first"):
        await together(
            [fail(ExpectedError("first"), after=late), fail(ExpectedError("second")), release()],
            expected=ExpectedError,
        )
    with pytest.raises(OursError):
        await together([fail(ExpectedError("first")), fail(OursError())], expected=ExpectedError)
    assert await together([release(), release()], expected=ExpectedError) == ("x", "x")


async def test_work_seen_to_its_end_outlives_cancellations_and_its_fault_goes_before_them() -> None:
    end, cancels = asyncio.Event(), list[int]()

    async def work(fault: Exception | None) -> str:
        await end.wait()
        if fault is not None:
            raise fault
        return "done"

    for fault, raised in ((None, asyncio.CancelledError), (OursError(), OursError)):
        end.clear()
        cancels.clear()
        caller = asyncio.create_task(to_its_end(work(fault), on_cancel=cancels.append))
        for _ in range(2):
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert cancels == [0, 1]
        end.set()
        with pytest.raises(raised):
            await caller
    assert await to_its_end(work(None), on_cancel=cancels.append) == "done"


UNREAD = """
import asyncio

async def fail():
    raise ValueError("lost")

async def test_task():
    asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def test_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def test_well():
    await asyncio.gather(fail(), return_exceptions=True)

async def test_future_in_a_cycle():
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("lost"))
    cycle = [future]
    cycle.append(cycle)
"""


def test_a_test_fails_when_a_fault_went_unread(tmp_path: Path) -> None:
    (tmp_path / "test_unread.py").write_text(UNREAD)
    arguments = ["-m", "pytest", "-p", "tests.unread_faults", "-c", "pyproject.toml", "-n", "0", "-rA", str(tmp_path)]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    told = {
        line for line in done.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR")) and "::" in line
    }
    assert done.returncode == 1, done.stdout
    bad = {line.split("::")[1].split(" ")[0] for line in told if not line.startswith("PASSED")}
    assert bad == {"test_task", "test_callback", "test_future_in_a_cycle"}, done.stdout
    assert done.stdout.count("ValueError('lost')") >= 2
