"""Output modes switched off one after another: a run finds the one that works, and every row comes out typed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.emulator import GEMMA_PARAMETERS, TOOL_PARAMETERS, Emulator, EmulatorSettings
from parquill.job import Job, load_job
from parquill.observers import Stoppable, Watched
from parquill.results import read_part_info
from parquill.running import run_job
from parquill.storage import Storage

ROWS = 12
WITHOUT = {
    "json_schema": (),
    "tools": ("structured_outputs",),
    "json_object": ("structured_outputs", "tools", "tool_choice"),
    "prompt": ("structured_outputs", "tools", "tool_choice", "response_format"),
}
"""The output mode that is left when these parameters are not taken."""


def job_at(base_url: str, folder: Path) -> Job:
    texts = [f"Describe thing {i}." for i in range(ROWS)]
    pq.write_table(pa.table({"id": list(range(ROWS)), "text": texts}), folder / "m.parquet")
    return load_job(
        {
            "name": "modes",
            "manifest": {"path": str(folder / "m.parquet"), "id_column": "id"},
            "prompt": {"user": "{{ text }}"},
            "output": {"path": str(folder / "out"), "schema": "configs/schemas/caption.json"},
            "model": {"endpoint": base_url, "api_key_env": "KEY", "max_tokens": 400},
        },
        environ={},
    )


@pytest.mark.parametrize("output_mode", WITHOUT)
async def test_the_best_output_mode_that_the_endpoint_names_is_taken_at_once(
    output_mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "sk-for-the-emulator")
    taken = tuple(name for name in GEMMA_PARAMETERS + TOOL_PARAMETERS if name not in WITHOUT[output_mode])
    async with Emulator(EmulatorSettings(supported_parameters=taken)) as emulator:
        summary = await run_job(job_at(emulator.base_url, tmp_path))
        assert emulator.stats().requests == ROWS
    assert summary.rows.ok == ROWS
    assert read_part_info(Storage.at(tmp_path / "out"), "m.000000.parquet").meta["rung"] == output_mode
    answers = pq.read_table(tmp_path / "out").column("answer").to_pylist()
    assert all(set(answer) >= {"caption", "tags", "language"} for answer in answers)


@pytest.mark.parametrize("output_mode", WITHOUT)
async def test_a_run_falls_back_to_an_output_mode_that_works_when_one_is_refused(
    output_mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint named all of them when it was asked, and takes fewer by the time rows come."""
    monkeypatch.setenv("KEY", "sk-for-the-emulator")
    everything = GEMMA_PARAMETERS + TOOL_PARAMETERS
    async with Emulator(EmulatorSettings(supported_parameters=everything)) as emulator:

        @contextlib.asynccontextmanager
        async def attach(_: Stoppable, __: Watched) -> AsyncIterator[None]:
            emulator.set_parameters(*(name for name in everything if name not in WITHOUT[output_mode]))
            yield

        summary = await run_job(job_at(emulator.base_url, tmp_path), attach=attach)
    assert summary.rows.ok == ROWS
    assert read_part_info(Storage.at(tmp_path / "out"), "m.000000.parquet").meta["rung"] == output_mode
    steps = list(WITHOUT).index(output_mode)
    assert len([notice for notice in summary.notices if "does not take" in notice]) == steps
