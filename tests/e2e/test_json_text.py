"""Values that have no Arrow type of their own (open objects, mixed unions) survive every way back."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.answers import load_answer_schema
from parquill.emulator import Emulator, EmulatorSettings
from parquill.job import Job, OutputSettings, load_job
from parquill.results import reading
from parquill.running import run_job

SCHEMA = {
    "type": "object",
    "properties": {
        "notes": {"type": "object", "additionalProperties": {"type": "string"}},
        "values": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
    },
    "required": ["notes", "values"],
}


def test_what_was_written_as_json_text_is_read_back_as_the_value() -> None:
    shape = load_answer_schema(OutputSettings.model_validate({"path": "out", "schema": SCHEMA}))
    answers = [{"notes": {"a": "1"}, "values": [1, "1", None]}, None]
    column = pa.chunked_array([shape.to_arrow(answers)])
    assert reading(shape.json_text)(column) == answers


def job(folder: Path, base_url: str, texts: list[str]) -> Job:
    ids = [f"r{i}" for i in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": texts}), folder / "m.parquet")
    return load_job(
        {
            "name": "open",
            "manifest": {"path": str(folder / "m.parquet"), "id_column": "id"},
            "prompt": {"user": "{{ text }}"},
            "output": {"path": str(folder / "out"), "schema": SCHEMA, "rows_per_part": 2},
            "model": {"endpoint": base_url, "api_key_env": "KEY"},
        },
        environ={},
    )


async def test_an_answer_that_went_through_archive_and_duplicate_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "sk-for-the-emulator")
    async with Emulator(EmulatorSettings()) as emulator:
        await run_job(job(tmp_path, emulator.base_url, ["one", "two"]))
        first = {row["text"]: row["answer"] for row in pq.read_table(tmp_path / "out").to_pylist()}
        await run_job(job(tmp_path, emulator.base_url, ["other", "two"]))
        await run_job(job(tmp_path, emulator.base_url, ["one", "two", "two", "one"]))
        assert emulator.stats().requests == 3
    again = pq.read_table(tmp_path / "out").to_pylist()
    assert [row["answer"] for row in again] == [first[row["text"]] for row in again]
    assert isinstance(json.loads(again[0]["answer"]["notes"]), dict)
