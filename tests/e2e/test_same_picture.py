"""The same picture under several names is paid once in a run, where its content is seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.emulator import Emulator, EmulatorSettings
from parquill.job import load_job
from parquill.running import run_job
from parquill.verification import verify_job

SAMPLE = Path("data/samples/pictures/coffee.jpg")


async def test_a_photo_at_several_paths_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-for-the-emulator")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(SAMPLE, tmp_path / name)
    shutil.copy(SAMPLE.with_name("chelsea.jpg"), tmp_path / "other.jpg")
    pictures = ["a.jpg", "b.jpg", "other.jpg", "c.jpg"]
    pq.write_table(pa.table({"id": list("wxyz"), "picture": pictures}), tmp_path / "m.parquet")
    async with Emulator(EmulatorSettings()) as emulator:
        job = load_job(
            {
                "name": "names",
                "manifest": {"path": str(tmp_path / "m.parquet"), "id_column": "id", "image_columns": ["picture"]},
                "prompt": {"user": "Describe it."},
                "output": {"path": str(tmp_path / "out"), "rows_per_part": 2},
                "model": {"endpoint": emulator.base_url, "api_key_env": "KEY"},
            },
            environ={},
        )
        summary = await run_job(job)
        assert emulator.stats().requests == 2
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert (summary.rows.ok, summary.rows.reused) == (4, 2)
    assert len({row["fingerprint"] for row in rows}) == 4
    assert rows[0]["answer"] == rows[1]["answer"] == rows[3]["answer"] != rows[2]["answer"]
    assert [row["cost_source"] for row in rows].count("reused") == 2
    assert verify_job(job).holds
