"""kill -9 at any moment, publishing included: nothing is lost, and the report says what may be paid twice."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parquill.emulator import Spread
from tests.e2e.dying import die_at_step, die_in_time
from tests.e2e.kit import Rehearsal, rehearsal, rows

ROWS = 150
SETTINGS: dict[str, Any] = {"output": {"rows_per_part": 40, "keep_attempts": True}, "limits": {"max_in_flight": 16}}
SAME = ["id", "text", "answer", "answer_text", "status", "error_kind", "fingerprint", "model", "finish_reason"]


async def undisturbed(folder: Path) -> pa.Table:
    async with rehearsal(folder, sections=SETTINGS, seed=3) as calm:
        calm.write(rows(ROWS))
        await calm.run()
        return calm.table()


def deaths(kills: int, *few: tuple[int, bool]) -> Sequence[tuple[int, bool]]:
    """Before and after every step in the lanes that have the time for it, else at a few of them."""
    return [*itertools.product(range(60), (False, True))] if kills > 5 else few


async def finish_and_judge(killed: Rehearsal, expected: pa.Table) -> None:
    """Run to the end: the table is that of a run without deaths, and each second payment is owned up to."""
    summary = await killed.run()
    assert summary.rows.ok == ROWS
    table = killed.table()
    assert table.select(SAME).equals(expected.select(SAME))
    await killed.must_hold()
    spend = await killed.spend()
    assert killed.asked - ROWS <= spend.doubts
    assert max(killed.bill().by_body.values()) <= 1 + spend.doubts
    assert killed.bill().billed_pico <= spend.pico
    if spend.doubts and summary.run_id:
        assert any(str(spend.doubts) in notice and "in flight" in notice for notice in summary.notices), summary.notices


@pytest.mark.timeout(600)
async def test_whenever_a_run_is_killed_no_row_is_lost_and_what_may_be_paid_twice_is_named(
    tmp_path: Path, kills: int
) -> None:
    expected = await undisturbed(tmp_path / "calm")
    chance, left = random.Random(20261123), kills
    for job in itertools.count():
        async with rehearsal(tmp_path / f"{job}", sections=SETTINGS, seed=3, latency=Spread(0.03, 0.6)) as killed:
            killed.write(rows(ROWS))
            path = killed.job_file()
            while left and await die_in_time(path, chance.uniform(0.02, 0.9)):
                left -= 1
            await finish_and_judge(killed, expected)
        if not left:
            return


@pytest.mark.timeout(600)
async def test_a_run_may_die_at_every_step_of_publishing(tmp_path: Path, kills: int) -> None:
    expected = await undisturbed(tmp_path / "calm")
    for step, after in deaths(kills, (3, True), (5, False), (11, True)):
        async with rehearsal(tmp_path / f"{step}{after}", sections=SETTINGS, seed=3) as killed:
            killed.write(rows(ROWS))
            path = killed.job_file()
            if not await die_at_step(path, step, after=after):
                assert step > 20, "a run has more steps than that"
                return
            await finish_and_judge(killed, expected)


@pytest.mark.timeout(600)
async def test_a_run_may_die_at_every_step_of_reslicing(tmp_path: Path, kills: int) -> None:
    """Rows moved between slices: each answer is found again, none is paid for twice."""
    for step, after in deaths(kills, (6, True), (13, False)):
        async with rehearsal(tmp_path / f"{step}{after}", sections=SETTINGS, seed=3) as killed:
            columns = rows(ROWS)
            killed.write(columns)
            await killed.run()
            before = dict(zip(killed.column("id"), killed.column("answer"), strict=True))
            moved = {name: [*values[70:], *values[:65]] for name, values in columns.items()}
            killed.write(moved)
            job = {"output": {"rows_per_part": 60}}
            if not await die_at_step(killed.job_file(**job), step, after=after):
                assert step > 15, "a run has more steps than that"
                return
            await killed.run(**job)
            assert killed.column("id") == moved["id"]
            assert killed.column("answer") == [before[key] for key in moved["id"]]
            await killed.must_hold(**job)
            assert killed.asked == ROWS
