"""The attempts table: every request's evidence, where the job wants it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.clock import SystemClock
from parquill.emulator import Emulator, EmulatorSettings, Misbehaviour
from parquill.errors import StorageFaultError
from parquill.event_loop import meanwhile
from parquill.job import Job, load_job
from parquill.observers import Attach, Stoppable, Watched
from parquill.running import run_job
from tests.e2e.kit import Rehearsal, rehearsal, rows


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-for-the-emulator")


def job_at(base_url: str, folder: Path, *, keep: bool) -> Job:
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["Say a.", "Say b."]}), folder / "m.parquet")
    return load_job(
        {
            "name": "evidence",
            "manifest": {"path": str(folder / "m.parquet"), "id_column": "id"},
            "prompt": {"user": "{{ text }}"},
            "output": {"path": str(folder / "out"), "keep_attempts": keep},
            "model": {"endpoint": base_url, "api_key_env": "KEY"},
            "limits": {"max_in_flight": 1},
        },
        environ={},
    )


async def test_each_attempt_leaves_its_id_cost_error_and_text(tmp_path: Path) -> None:
    async with Emulator(EmulatorSettings()) as emulator:
        emulator.plan(Misbehaviour.SERVER_ERROR, None, None)
        summary = await run_job(job_at(emulator.base_url, tmp_path, keep=True))
        billed = emulator.stats().billed_pico
    rows = pq.read_table(tmp_path / "out.parquill" / "attempts").sort_by("ended_at").to_pylist()
    assert summary.requests == len(rows) == 3, rows
    assert [row["error_kind"] for row in rows].count("server_error") == 1
    assert sum(row["cost_usd"] for row in rows) * 10**12 == billed
    assert all(row["text"] and row["generation_id"] for row in rows if row["error_kind"] is None)


async def test_nothing_is_kept_unless_the_job_wants_it(tmp_path: Path) -> None:
    async with Emulator(EmulatorSettings()) as emulator:
        await run_job(job_at(emulator.base_url, tmp_path, keep=False))
    assert not (tmp_path / "out.parquill" / "attempts").exists()


ROWS = 400


@pytest.fixture
async def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rehearsal]:
    """A job whose attempts fill many files while others are still written."""
    monkeypatch.setattr("parquill.asking.attempt_log.ROWS_PER_FILE", 3)
    async with rehearsal(tmp_path, sections={"output": {"keep_attempts": True, "rows_per_part": 100}}) as run:
        run.write(rows(ROWS))
        yield run


def attempts_of(run: Rehearsal) -> list[Path]:
    return sorted((run.folder / "out.parquill" / "attempts").iterdir())


async def test_every_request_stands_in_the_table_though_many_files_are_written_at_once(full: Rehearsal) -> None:
    """Each write removed the temporary files of the others; half of 40,000 attempts were lost without a word."""
    summary = await full.run()
    assert pq.read_table(full.folder / "out.parquill" / "attempts").num_rows == summary.requests == ROWS
    await full.must_hold()


async def test_attempts_that_are_lost_are_found_and_the_next_run_says_so_once(full: Rehearsal) -> None:
    await full.run()
    first, second, *_ = attempts_of(full)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-20])
    (finding,) = (await full.verify()).findings
    assert finding.kind == "attempts"
    assert "6 of 400 requests of 000001-" in finding.examples[0]
    assert "next run" in finding.examples[0]
    summary = await full.run()
    assert summary.requests == 0
    assert any("6 of 400 requests" in notice for notice in summary.notices)
    await full.must_hold()
    assert not (await full.run()).notices


def beside(turn: object) -> Attach:
    """What is entered while rows are asked: `turn` runs beside them, given what it may look at."""

    @contextlib.asynccontextmanager
    async def attach(loop: Stoppable, watch: Watched) -> AsyncIterator[None]:
        async with meanwhile(turn(watch)):  # type: ignore[operator] - the parameter is a function
            yield

    return attach


async def test_an_attempts_file_that_cannot_be_written_fails_the_run_and_no_answer_is_paid_again(
    full: Rehearsal,
) -> None:
    folder = full.folder / "out.parquill" / "attempts"

    async def break_it(watch: Watched) -> None:
        while watch.state().progress.rows.ok < 50:
            await SystemClock().sleep(0.005)
        folder.rename(full.folder / "moved away")
        folder.write_text("not a folder")

    with pytest.raises(StorageFaultError, match=r"attempts/.*Not a directory"):
        await full.run(attach=beside(break_it))
    folder.unlink()
    asked = full.asked
    assert asked < ROWS
    summary = await full.run()
    assert summary.rows.ok == ROWS
    assert full.asked <= ROWS + 32  # what was in flight may have been asked again
    await full.must_hold()


async def test_a_fault_in_what_runs_beside_the_rows_stops_the_run_and_keeps_what_came(full: Rehearsal) -> None:
    """It was only logged, by asyncio, when the run was over."""

    async def fail(watch: Watched) -> None:
        while watch.state().progress.rows.ok < 50:
            await SystemClock().sleep(0.005)
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        await full.run(attach=beside(fail))
    asked = full.asked
    assert 50 <= asked < ROWS
    summary = await full.run()
    assert (summary.rows.ok, full.asked) == (ROWS, ROWS)
    await full.must_hold()
