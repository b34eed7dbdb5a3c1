"""A row is the same however many are made ready with it, and counts as the request that would be sent."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.answers import OutputMode
from parquill.calibration.learned import CalibrationData
from parquill.clock import SystemClock
from parquill.endpoint.facts import EndpointFacts
from parquill.errors import RowError
from parquill.estimation.attachments import PartsOf
from parquill.estimation.counting import Counting
from parquill.job import load_job
from parquill.manifest import Chunk
from parquill.planning.preparation import Prepared, prepare
from parquill.planning.rows import PreparedRow
from parquill.workspace import Workspace
from tests.lanes import examples

SCHEMA = pa.schema(
    [("title", pa.string()), ("number", pa.float64()), ("url", pa.string()), ("more", pa.list_(pa.string()))]
)
TAG = {"type": "object", "properties": {"tag": {"type": "string"}}, "required": ["tag"], "additionalProperties": False}
JOBS: dict[str, dict[str, Any]] = {
    "joined": {"prompt": {"user": "{{ title }} of {{ number }}\n"}},
    "title alone, pictures first": {"prompt": {"user": "{{ title }}", "images_first": True}},
    "jinja": {"prompt": {"user": "{% if number %}{{ title or 'none' }} {{ 6 / number }}{% endif %}"}},
    "column, labels": {"prompt": {"user_column": "title", "system": "Be brief.\n"}, "images": {"labels": True}},
    "no column, labels, pictures first": {
        "prompt": {"user": "What is this?", "images_first": True, "system": "\n"},
        "images": {"labels": True},
    },
    "schema told in the prompt": {
        "prompt": {"user_column": "title", "examples": [{"user": "a", "answer": {"tag": "b"}}]},
        "output": {"schema": TAG, "mode": "prompt"},
    },
}
CELLS = st.fixed_dictionaries(
    {
        "title": st.none() | st.text(" \nab{é", max_size=5),
        "number": st.sampled_from([None, 0.0, 1.5, float("nan")]),
        "url": st.sampled_from(
            [None, "", "https://a.example/1.jpg", "https://a.example/2.jpg", "http://localhost/x", "ftp://a.example/1"]
        ),
        "more": st.none() | st.lists(st.sampled_from([None, "", "http://b.example", "http://b.example/é"]), max_size=4),
    }
)


@functools.cache
def opened(name: str) -> Prepared:
    folder = tempfile.mkdtemp()
    pq.write_table(pa.Table.from_pylist([{"title": "x"}], SCHEMA), Path(folder, "m.parquet"))
    sections = JOBS[name]
    job = {
        "name": "rows",
        "manifest": {"path": str(Path(folder, "m.parquet")), "image_columns": ["url", "more"]},
        "prompt": sections["prompt"],
        "output": {"path": str(Path(folder, "out")), **sections.get("output", {})},
        "images": {"max_per_row": 3, **sections.get("images", {})},
    }
    return prepare(load_job(job, environ={}), SystemClock())


def chunk(job: Prepared, rows: Sequence[dict[str, Any]], start: int) -> Chunk:
    return Chunk(job.manifest.slices[0], start, pa.Table.from_pylist(list(rows), SCHEMA))


def facts(row: PreparedRow) -> tuple[Any, ...]:
    fault = row.fault and (row.fault.kind, row.fault.message)
    return row.row, row.fingerprint, row.text, row.pictures, row.documents, fault


@pytest.mark.parametrize("name", JOBS)
@settings(max_examples=examples(25))
@given(st.lists(CELLS, min_size=1, max_size=12), st.integers(0, 50), st.sets(st.integers(0, 60)) | st.none())
def test_rows_made_ready_together_are_what_each_is_alone(
    name: str, rows: list[dict[str, Any]], start: int, wanted: set[int] | None
) -> None:
    job = opened(name)
    alone = [one for at, row in enumerate(rows) for one in job.reader.read(chunk(job, [row], start + at), wanted)]
    together = chunk(job, rows, start)
    assert [*map(facts, job.reader.read_together(together, wanted))] == [*map(facts, alone)]
    assert [*map(facts, job.reader.read(together, wanted))] == [*map(facts, alone)]


@pytest.mark.parametrize("name", JOBS)
@settings(max_examples=examples(25))
@given(st.lists(CELLS, min_size=1, max_size=12), st.lists(st.integers(1, 400), max_size=5))
def test_a_dry_run_counts_the_requests_that_would_be_sent(
    name: str, rows: list[dict[str, Any]], usage_records: list[int]
) -> None:
    job = opened(name)
    calibration_data = CalibrationData.take_up(job, Workspace.of(job.job.output.path, Path(job.job.output.path)), "")
    for counted in usage_records:
        calibration_data.counter.usage_records.add(40.0, 1, counted - 300, "one")
        calibration_data.length.observe(counted, 300, 1)
    prepared = job.reader.read_together(chunk(job, rows, 0))
    prepared = prepared.at([place for place, fault in enumerate(prepared.faults) if fault is None])
    parts = PartsOf(job.images, check=False, wait=lambda _: pytest.fail("nothing is to be opened")).all(prepared)
    sound = [place for place, one in enumerate(parts) if not isinstance(one, RowError)]
    facts = EndpointFacts("http://127.0.0.1", None, frozenset({"response_format"}))
    found = Counting(job, facts, calibration_data).count(prepared.at(sound), [parts[place] for place in sound])

    told = zip(found.tokens, found.answers.tolist(), strict=True)
    for row, (tokens, answer) in zip(prepared.at(sound), told, strict=True):
        sent = job.images.parts_now(row.pictures)
        assert sent is not None
        request = job.asking.request(row.text, sent, job.shape.instruction_for(OutputMode.PROMPT))
        assert tokens == calibration_data.counter.count(request)
        assert answer == calibration_data.length.expect(tokens.expected, len(sent))
    for place in {*range(len(prepared))}.difference(sound):
        with pytest.raises(RowError):
            job.images.parts_now(prepared.pictures[place])
