"""A dry run of a million rows: rows a second and peak memory, from a manifest on disk to estimate.parquet.

    python -m benchmarks.estimate [ROWS]

Goals: over 30,000 rows a second on one core, memory flat but for the index (24 bytes a row). Each size
runs in a process of its own; a tenth of the rows comes first, so that growth can be seen. CPU seconds are
what one core would take: on a busy machine the clock on the wall says little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1_000_000
TITLES = ("Red kettle with a brass handle", "Grey wool jacket, second hand", "Oak chair no. 3", "Radio of the fifties")
TEMPLATE = "Describe the photo of {{ title }} (item {{ id }}) in {{ language }}, in two short sentences."


def manifest(path: Path, rows: int) -> None:
    """Write a manifest of so many rows, 100,000 at a time."""
    schema = pa.schema([("id", pa.string()), ("title", pa.string()), ("language", pa.string()), ("url", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, 100_000):
            numbers = range(first, min(rows, first + 100_000))
            columns = [
                [f"sku-{number:08d}" for number in numbers],
                [f"{TITLES[number % 4]} {number}" for number in numbers],
                [("English", "German", "Japanese")[number % 3] for number in numbers],
                [f"https://pictures.example/{number}.jpg" for number in numbers],
            ]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))


def job(folder: Path, rows: int) -> Path:
    """Write the job file."""
    manifest(folder / f"{rows}.parquet", rows)
    settings = {
        "name": "estimate",
        "manifest": {"path": str(folder / f"{rows}.parquet"), "id_column": "id", "image_columns": ["url"]},
        "prompt": {"system": "You write captions. Say only what can be seen.", "user": TEMPLATE},
        "output": {"path": str(folder / f"out-{rows}"), "schema": "configs/schemas/caption.json"},
        "model": {"endpoint": "emulator"},
    }
    path = folder / f"{rows}.json"
    path.write_text(json.dumps(settings))
    return path


def measure(path: Path, rows: int) -> float:
    """Estimate in a process of its own; returns its peak in MiB."""
    command = [sys.executable, "-m", "parquill", "estimate", str(path), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall, cpu, peak = time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    assert told["rows"]["todo"] == rows, told
    print(f"{rows:>9,} rows: {wall:5.1f} s, CPU {cpu:5.1f} s, {rows / cpu:>7,.0f} rows/s of CPU, peak {peak:4.0f} MiB")
    return peak


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        peaks = [measure(job(Path(name), size), size) for size in (rows // 10, rows)]
    print(f"growth: {(peaks[1] - peaks[0]) * 2**20 / (rows - rows // 10):.0f} bytes a row")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
