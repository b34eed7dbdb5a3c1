"""A cancelled run (a flow that is cancelled, a notebook's cell) leaves a whole output and closed books."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.emulator import Emulator, EmulatorSettings, Spread
from parquill.job import load_job
from parquill.observers import Stoppable, Watched
from parquill.running import run_job
from parquill.verification import verify_job


async def test_a_cancelled_run_drains_lists_its_parts_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "sk-for-the-emulator")
    rows = 60
    table = pa.table({"id": list(range(rows)), "text": [f"Say {i}." for i in range(rows)]})
    pq.write_table(table, tmp_path / "m.parquet")
    begun = asyncio.Event()

    @contextlib.asynccontextmanager
    async def attach(_: Stoppable, __: Watched) -> AsyncIterator[None]:
        begun.set()
        yield

    async with Emulator(EmulatorSettings(latency=Spread(0.05))) as emulator:
        job = load_job(
            {
                "name": "cancelled",
                "manifest": {"path": str(tmp_path / "m.parquet"), "id_column": "id"},
                "prompt": {"user": "{{ text }}"},
                "output": {"path": str(tmp_path / "out"), "rows_per_part": 20, "keep_attempts": True},
                "model": {"endpoint": emulator.base_url, "api_key_env": "KEY"},
                "limits": {"max_in_flight": 8},
            },
            environ={},
        )
        running = asyncio.create_task(run_job(job, attach=attach))
        await begun.wait()
        while emulator.stats().requests < 8:
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert verify_job(job).holds
        assert pq.read_table(tmp_path / "out").num_rows == rows
        evidence = pq.read_table(tmp_path / "out.parquill" / "attempts").num_rows
        assert evidence == emulator.stats().requests < rows
        summary = await run_job(job)
        assert summary.rows.ok == emulator.stats().requests == rows
