"""The attempts table: every request's evidence, where the job wants it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.batch import run_job
from parquill.emulator import Emulator, EmulatorSettings, Misbehaviour
from parquill.job import Job, load_job


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
