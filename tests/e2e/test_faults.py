"""Parquill's own side fails: the output's disk, the task that runs it. What was paid for stays."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

import pytest

from parquill.emulator import Misbehaviour, Spread
from parquill.errors import ErrorKind, Stop, StorageFaultError
from parquill.estimation import estimate_job
from parquill.planning import RunOptions
from parquill.running import run_job
from tests.disks import FailingDisk
from tests.e2e.kit import Rehearsal, rehearsal, rows, until


def failing(step: str, number: int) -> FailingDisk:
    return FailingDisk(step, OSError(number, os.strerror(number)))


async def goes_on(run: Rehearsal, count: int) -> None:
    """The same command brings the rows that are left, and pays for none twice."""
    summary = await run.run()
    assert summary.rows.ok == count
    await run.must_hold()
    assert max(run.bill().by_body.values()) == 1
    assert run.asked == count


@pytest.mark.parametrize("step", ["write", "sync", "rename"])
async def test_no_room_for_a_part_stops_the_run_with_4_and_loses_nothing(step: str, tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 10}}) as run:
        run.write(rows(60))
        summary = await run_job(run.job(), disk=failing(step, errno.ENOSPC))
        assert (summary.stopped_by, summary.exit_status) == (Stop.DISK_FULL, 4)
        counts = summary.rows
        assert counts.ok + counts.failed + counts.not_attempted == counts.total == 60
        assert "out/" in (summary.stop_message or "")
        await goes_on(run, 60)


@pytest.mark.parametrize("edited", ["c0", "b1"])
async def test_an_answer_that_only_the_ledger_holds_serves_an_equal_row_of_an_earlier_slice(
    edited: str, tmp_path: Path
) -> None:
    """`edited`: a row of the last slice is all the same, or it is another's text there and the slice is another."""
    sections = {"output": {"rows_per_part": 2}, "limits": {"max_in_flight": 8}}
    async with rehearsal(tmp_path, latency=Spread(0.5), sections=sections) as run:  # all are sent before one is back
        texts = {"a0": "one", "a1": "two", "b0": "three", "b1": "four", "c0": "five", "c1": "six"}
        run.write({"id": list(texts), "text": list(texts.values())})
        await run_job(run.job(), disk=failing("write", errno.ENOSPC))
        assert run.asked == 6
        texts |= {"a0": texts["c1"], edited: "seven"}
        run.write({"id": list(texts), "text": list(texts.values())})
        assert (await estimate_job(run.job())).rows.todo == 1
        summary = await run.run()
        assert (summary.rows.ok, summary.requests, run.asked) == (6, 1, 7)
        assert run.column("cost_source")[0] == "reused" or edited == "c0"
        await run.must_hold()


@pytest.mark.parametrize("step", ["sync", "rename", "sync_folder"])
async def test_a_disk_that_fails_ends_the_run_by_name_and_the_next_one_goes_on(step: str, tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 10}}) as run:
        run.write(rows(60))
        run.output.mkdir()
        with pytest.raises(StorageFaultError, match=r"out/manifest\.0"):
            await run_job(run.job(), disk=failing(step, errno.EIO))
        await goes_on(run, 60)


async def test_a_run_whose_task_is_cancelled_drains_and_keeps_what_came(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, latency=Spread(0.05), sections={"output": {"rows_per_part": 25}}) as run:
        run.write(rows(200))
        task = asyncio.create_task(run.run())
        await until(lambda: run.asked >= 60)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert run.column("id") == rows(200)["id"]
        assert run.column("status").count("ok") == run.asked < 200
        await goes_on(run, 200)


async def test_a_run_that_is_cancelled_twice_is_cut_off_at_once(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, stall_seconds=60.0) as run:
        run.write(rows(40))
        run.emulator.plan(*[None] * 10, *[Misbehaviour.STALL] * 30)
        task = asyncio.create_task(run.run())
        await until(lambda: run.asked >= 40)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert run.column("status").count("ok") == 10
        await run.run()
        await run.must_hold()


async def test_a_new_run_begins_when_rows_are_new_after_a_finished_one(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(10))
        await run.run()
        await run.run()
        assert await run.runs() == 1
        run.write(rows(12))
        await run.run()
        assert await run.runs() == 2
        assert (await run.spend()).requests == 2


async def test_a_run_that_was_stopped_goes_on_as_the_same_run(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(30))
        await run.run(limits={"requests_per_day": 10})
        await run.run()
        assert await run.runs() == 1
        assert (await run.spend()).requests == 30


async def test_failures_that_may_pass_are_asked_again_and_add_to_the_rows_account(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"limits": {"max_in_flight": 1}}) as run:
        run.write(rows(4))
        run.emulator.plan(Misbehaviour.NULL_CONTENT, Misbehaviour.NULL_CONTENT)
        await run.run(retry={"max_attempts": 1}, output={"max_reasks": 0})
        failed = run.column("status").count("failed")
        spent = dict(zip(run.column("id"), run.column("cost_usd"), strict=True))
        assert failed == 2
        again = await run.run()
        assert (again.requests, again.rows.ok, again.rows.kept) == (2, 4, 2)
        assert run.column("attempts") == [2, 2, 1, 1]
        assert all(
            cost > spent[key] for key, cost in list(zip(run.column("id"), run.column("cost_usd"), strict=True))[:2]
        )
        await run.must_hold()


async def test_retry_names_the_kinds_that_are_asked_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write({"id": [1, 2], "text": ["a", None]})
        assert (await run.run()).rows.failed == 1
        assert (await run.run(RunOptions(retry=frozenset({ErrorKind.BAD_ROW})))).requests == 0
        run.write({"id": [1, 2], "text": ["a", "b"]})
        assert (await run.run()).rows.ok == 2
        await run.must_hold()
