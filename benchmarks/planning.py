"""How long a finished output takes to be planned again, and what it takes of memory.

A manifest of ROWS rows and its whole output are made (answers by hand, through the run's own
publishing), then `parquill run` is started on them as they are (nothing to do), with one row
added (one request), and after a kill in the middle of the run (the last tenth has no parts):
wall and CPU seconds from the start of the process to its end, and the process's peak memory.

    python -m benchmarks.planning [ROWS]
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.endpoint import endpoint
from benchmarks.sides import PEAK_FILE, side
from parquill.clock import SystemClock
from parquill.job import load_job
from parquill.planning.planner import Planner
from parquill.planning.preparation import Prepared, prepare
from parquill.results import CostSource, ItemResult, Status, result_table, write_part
from parquill.storage import Storage

ROWS_PER_PART = 10_000


def manifest(path: Path, rows: int) -> None:
    """Write ids, texts and picture URLs, a million rows in some seconds."""
    writer: pq.ParquetWriter | None = None
    for first in range(0, rows, 100_000):
        span = range(first, min(rows, first + 100_000))
        table = pa.table(
            {
                "id": [f"row-{i:09d}" for i in span],
                "text": [f"Describe picture number {i} in one sentence, please." for i in span],
                "image_url": [f"https://pictures.example.org/{i:09d}.jpg" for i in span],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def job(folder: Path, base_url: str) -> dict[str, object]:
    """The job whose output is planned again."""
    return {
        "name": "planning",
        "manifest": {"path": str(folder / "manifest.parquet"), "id_column": "id", "image_columns": ["image_url"]},
        "prompt": {"user": "{{ text }}"},
        "output": {"path": str(folder / "out"), "rows_per_part": ROWS_PER_PART},
        "model": {"endpoint": base_url},
    }


def answer(fingerprint: bytes | None) -> ItemResult:
    """A row's outcome as a run would have left it."""
    return ItemResult(
        status=Status.OK, fingerprint=fingerprint, error_kind=None, error_message=None, answer="A street.",
        answer_text="A street.", attempts=1, model="google/gemma-3-4b-it", provider="Lean", generation_id="gen-1",
        finish_reason="stop", prompt_tokens=300, completion_tokens=4, cached_tokens=0, cost_pico=6_160_000,
        cost_source=CostSource.ENDPOINT, estimated_pico=6_200_000, latency_ms=200, repairs=(), finished_at=1,
    )  # fmt: skip


def fill(opened: Prepared, output: Storage) -> None:
    """Write every part, as a run would have."""
    digests = Planner(opened, output).digests()
    columns = opened.manifest.columns.needed(opened.reader.columns)
    tables: list[pa.Table] = []
    results: list[ItemResult] = []
    for chunk in opened.manifest.read(columns):
        tables.append(chunk.table.select(["id", "text", "image_url"]))
        results += [answer(row.fingerprint) for row in opened.reader.read(chunk)]
        if len(results) == chunk.slice.rows:
            table = result_table(opened.schema, pa.concat_tables(tables), results, opened.shape.to_arrow)
            metadata = {
                "part_id": os.urandom(16).hex(),
                "realm": "",
                "slice_digest": digests[chunk.slice.part],
                "job": "planning",
                "settings": opened.asking.identity.digest,
                "deciding": dict(opened.asking.identity.settings),
            }
            write_part(output, chunk.slice.part, table, metadata)
            tables, results = [], []


@dataclass(frozen=True)
class Planned:
    """One start: wall and CPU seconds, peak MiB, what `parquill run` printed."""

    wall: float
    cpu: float
    peak: float
    said: dict[str, object]


def run(folder: Path, *arguments: str) -> Planned:
    """Start `parquill run` on the job."""
    with tempfile.NamedTemporaryFile("r") as peak:
        command = side("ours", str(folder / "job.json"), "--quiet", "--json", *arguments)
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, PEAK_FILE: peak.name}
        printed = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=False).stdout
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Planned(wall, cpu, float(peak.read()), json.loads(printed))


def show(what: str, rows: int, one: Planned) -> None:
    """Print one line."""
    figures = f"{one.wall:>8.1f} s {one.cpu:>8.1f} CPU s {one.peak:>7.0f} MiB"
    print(f"{what:38} {rows:>10,} rows {figures}   requests {one.said['requests']}, load {os.getloadavg()[0]:.1f}")


async def main() -> None:
    """Make the output and measure the three starts."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name, endpoint(0.0) as base_url:
        folder = Path(name)
        manifest(folder / "manifest.parquet", rows)
        (folder / "job.json").write_text(json.dumps(job(folder, base_url)))
        opened = prepare(load_job(folder / "job.json"), SystemClock())
        output = Storage.at(folder / "out")
        output.make_ready()
        fill(opened, output)
        print(f"load {os.getloadavg()[0]:.1f}")
        show("finished, nothing new", rows, run(folder))
        manifest(folder / "manifest.parquet", rows + 1)
        show("one row added", rows + 1, run(folder))
        for part in sorted((folder / "out").glob("*.parquet"))[-max(1, rows // ROWS_PER_PART // 10) :]:
            part.unlink()
        show("a tenth of the parts gone, --limit 0", rows + 1, run(folder, "--limit", "0"))


if __name__ == "__main__":
    asyncio.run(main())
