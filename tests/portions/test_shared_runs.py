"""Runs that several processes share end as those of one process do, whatever dies on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from parquill import load_job
from parquill.clock import SystemClock
from parquill.emulator import Emulator, EmulatorSettings, Spread, iter_log, read_log
from parquill.errors import JobError, Stop
from parquill.estimation import estimate_job
from parquill.job import Job
from parquill.planning import RunOptions
from parquill.portions import share_here
from parquill.running import run_job
from parquill.summary import RunSummary
from parquill.verification import verify_job
from tests.hostile_files import PNG
from tests.orchestration.small_jobs import output_of, paid_twice_is_owned_up_to, small_job, verified, write_manifest
from tests.portions.forked_pool import ForkedPool
from tests.portions.forked_pool import run_shared as run

IN_FLIGHT = 4
KEY = "sk-or-v1-0123456789"


@contextlib.asynccontextmanager
async def shared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int = 120, latency: float = 0.0, **sections: Any
) -> AsyncIterator[tuple[dict[str, Any], Emulator]]:
    """A job for two processes, in slices of twenty rows, and the endpoint that keeps its bill."""
    monkeypatch.setenv("SOME_KEY", KEY)
    settings = EmulatorSettings(latency=Spread(latency), log_path=folder / "bill.jsonl")
    async with Emulator(settings) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"}
        asked = {"output": {"rows_per_part": 20}, "run": {"workers": 2}, "limits": {"max_in_flight": IN_FLIGHT}}
        yield small_job(folder, rows=rows, model=model, **{**asked, **sections}), emulator


async def run_here(job: dict[str, Any]) -> RunSummary:
    """Run with Pythons that are started as `parquill run` starts them."""
    loaded: Job = load_job(job)
    return await run_job(loaded, spread=share_here(loaded))


async def until(look: Callable[[], object], what: str) -> None:
    clock = SystemClock()
    for _ in range(600):
        if look():
            return
        await clock.sleep(0.05)
    pytest.fail(f"{what} did not come")


@contextlib.contextmanager
def command(folder: Path, job: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """`parquill run` of a job in a process of its own, which does not outlive the test."""
    (folder / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    words = [sys.executable, "-m", "parquill", "run", str(folder / "job.yaml"), "--quiet"]
    with subprocess.Popen(words, env={**os.environ, "SOME_KEY": KEY}) as process:
        try:
            yield process
        finally:
            process.kill()


def bill(folder: Path) -> Counter[str]:
    return Counter(entry.body for entry in iter_log(folder / "bill.jsonl"))


async def test_a_run_learns_from_the_usage_records_of_its_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says where they were billed otherwise: the job names half of what the endpoint asks."""
    price = {"prompt": "0.00000001", "completion": "0.00000002"}
    async with shared(tmp_path, monkeypatch, rows=60) as (job, emulator):
        job["model"]["price"] = price
        job["output"]["keep_attempts"] = True
        summary = await run(job)
        assert emulator.stats().requests == summary.rows.ok == 60
        found = await estimate_job(load_job(job))
    assert found.usage_records == 60
    assert found.surplus == pytest.approx(2, rel=0.05)
    assert any("60 answers were billed" in notice for notice in summary.notices)
    assert (await asyncio.to_thread(verify_job, load_job(job))).holds
    for table in ("attempts", "drift"):
        files = sorted((tmp_path / "out.parquill" / table).iterdir())
        assert sum(pq.read_metadata(file).num_rows for file in files) == 60
        files[0].rename(tmp_path / table)
        (finding,) = (await asyncio.to_thread(verify_job, load_job(job))).findings
        assert finding.kind == table
        (tmp_path / table).rename(files[0])


async def test_two_processes_make_the_table_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shared(tmp_path, monkeypatch, manifest={"image_columns": ["picture"]}) as (job, emulator):
        manifest = tmp_path / "manifest.parquet"
        (tmp_path / "a.png").write_bytes(PNG)
        pq.write_table(pq.read_table(manifest).append_column("picture", [["a.png"] * 120]), manifest)
        ours = await run_here(job)
        alone = {**job, "output": {**job["output"], "path": str(tmp_path / "alone")}, "run": {"workers": 1}}
        theirs = await run(alone)

    assert ours.rows == theirs.rows
    assert (ours.requests, ours.tokens, ours.cost_pico) == (theirs.requests, theirs.tokens, theirs.cost_pico)
    for column in ("id", "title", "answer_text", "cost_usd", "prompt_tokens", "attempts", "images"):
        assert output_of(job).column(column).equals(output_of(alone).column(column))
    assert verified(job).holds
    assert list((tmp_path / "out.parquill" / "portions").iterdir()) == []
    assert emulator.stats().requests == 240
    assert {cell["width"] for (cell,) in output_of(job).column("images").to_pylist()} == {64}


async def test_equal_rows_in_different_portions_are_sent_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shared(tmp_path, monkeypatch) as (job, _):
        write_manifest(tmp_path / "manifest.parquet", [f"row {number % 50}" for number in range(120)])
        summary = await run(job)

    assert (summary.rows.ok, summary.rows.reused, summary.requests) == (120, 70, 50)
    assert set(bill(tmp_path).values()) == {1}
    assert verified(job).holds


async def test_rows_that_cannot_be_asked_fail_as_they_do_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shared(tmp_path, monkeypatch) as (job, _):
        write_manifest(
            tmp_path / "manifest.parquet", [None if number % 30 == 7 else f"row {number}" for number in range(120)]
        )
        summary = await run(job)

    assert (summary.rows.ok, dict(summary.errors_by_kind), summary.requests) == (116, {"bad_row": 4}, 116)
    assert verified(job).holds


async def test_a_budget_is_never_passed_and_what_one_did_not_use_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap = "0.00012"
    async with shared(tmp_path, monkeypatch, budget={"usd": cap}) as (job, _):
        # Half of the rows are answered before: their portion leaves most of its share.
        await run(job, RunOptions(limit=50))
        stopped = await run(job)
        spent = read_log(tmp_path / "bill.jsonl").billed_pico
        job["budget"]["usd"] = "1"
        finished = await run(job)

    assert stopped.stopped_by is Stop.BUDGET
    assert 0.9 * 120_000_000 <= spent <= 120_000_000, "what is left is less than the worst case of one row or two"
    assert finished.rows.ok == 120
    assert set(bill(tmp_path).values()) == {1}
    assert verified(job).holds


async def test_a_process_that_dies_leaves_its_portion_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared(tmp_path, monkeypatch, latency=0.1) as (job, emulator):
        pool = ForkedPool()
        running = asyncio.create_task(run(job, pool=pool))
        await until(lambda: emulator.stats().requests >= 20, "the first rows")
        pool.processes[0].kill()
        summary = await running

    assert summary.rows.ok == 120
    asked_twice = sum(bill(tmp_path).values()) - 120
    paid_twice_is_owned_up_to(job, asked_twice, IN_FLIGHT)
    assert asked_twice == 0 or any("in flight when a process of this run died" in text for text in summary.notices)
    assert verified(job).holds


async def test_a_run_whose_first_process_dies_is_taken_over_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared(tmp_path, monkeypatch, latency=0.1) as (job, emulator):
        with command(tmp_path, job) as first:
            await until(lambda: emulator.stats().requests >= 20, "the first rows")
            others = psutil.Process(first.pid).children()
            first.kill()
        await until(lambda: not any(one.is_running() for one in others), "the end of its processes")
        asked = emulator.stats().requests
        job["run"]["workers"] = 1
        summary = await run(job)

    assert 20 <= asked < 120
    assert summary.rows.ok == 120
    assert set(bill(tmp_path).values()) == {1}, "its processes had their time, and nothing was asked twice"
    assert verified(job).holds


async def test_an_interrupted_run_stops_in_all_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shared(tmp_path, monkeypatch, latency=0.1) as (job, emulator):
        with command(tmp_path, job) as first:
            await until(lambda: emulator.stats().requests >= 20, "the first rows")
            first.send_signal(signal.SIGINT)
            await until(lambda: first.poll() is not None, "its end")
        asked = emulator.stats().requests
        statuses = Counter(output_of(job).column("status").to_pylist())
        summary = await run(job)

    assert first.returncode == 130
    assert statuses == {"ok": asked, "not_attempted": 120 - asked}
    assert summary.rows.ok == 120
    assert set(bill(tmp_path).values()) == {1}
    assert verified(job).holds


async def test_a_cluster_is_for_flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shared(tmp_path, monkeypatch, run={"workers": 2, "engine": "dask"}) as (job, _):
        with pytest.raises(JobError, match=r"python -m flows\.batch"):
            await run_here(job)
