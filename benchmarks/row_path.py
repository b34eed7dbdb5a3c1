"""What one row passes: calls, functions, files, and jumps between files, seen while a run asks rows.

    python -m benchmarks.row_path [--files]

Rows are asked one after another in one run, and calls of the engine's functions are noted by thread; the embedded
emulator's own are left out. What the start and the end of a run call is left out as well: one row is the stretch
between two calls of a function that is called once for each row. The stretch is the median of all; `--files` lists
its files by calls.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

import parquill

ENGINE = f"{Path(parquill.__file__).parent}/"
BESIDE = f"{ENGINE}emulator/"
ROWS = 12

Call = tuple[str, str]
"""File below the engine's folder, and function."""


class Stretch(NamedTuple):
    """One row's calls, summed up; `back` are jumps to a file that the row has been in before."""

    calls: int
    functions: int
    files: int
    packages: int
    jumps: int
    back: int


def traced(folder: Path) -> dict[int, list[Call]]:
    """Run a job of text rows, one in flight; return the engine's calls in order, by thread."""
    texts = {"id": [f"r{n}" for n in range(ROWS)], "text": [f"text {n}" for n in range(ROWS)]}
    pq.write_table(pa.table(texts), folder / "m.parquet")
    calls: dict[int, list[Call]] = defaultdict(list)

    def note(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ENGINE) and not name.startswith(BESIDE):
            calls[threading.get_ident()].append((name.removeprefix(ENGINE), frame.f_code.co_qualname))

    job = parquill.load_job(
        {
            "name": "path",
            "manifest": {"path": str(folder / "m.parquet"), "id_column": "id"},
            "prompt": {"user_column": "text"},
            "output": {"path": str(folder / "out")},
            "model": {"name": "google/gemma-3-4b-it", "endpoint": "emulator"},
            "limits": {"max_in_flight": 1},
        }
    )
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        parquill.run(job)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # typeshed knows no None here, which ends it
    return calls


def stretches(calls: list[Call]) -> list[list[Call]]:
    """Cut a thread's calls into rows: at that function, called once for each row, whose calls lie farthest apart."""
    places: dict[Call, list[int]] = defaultdict(list)
    for index, call in enumerate(calls):
        places[call].append(index)
    marks = [at for at in places.values() if len(at) == ROWS]
    at = max(marks, key=lambda one: min(end - start for start, end in pairwise(one)))
    return [calls[start:end] for start, end in pairwise(at[2:-1])]


def summed(row: list[Call]) -> Stretch:
    """Count one row's calls."""
    seen: set[str] = set()
    jumps = back = 0
    last = ""
    for file, _ in row:
        if file != last:
            jumps += bool(last)
            back += file in seen
        seen.add(file)
        last = file
    return Stretch(len(row), len(set(row)), len(seen), len({f.rpartition("/")[0] for f in seen}), jumps, back)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        by_thread = traced(Path(folder))
    rows = stretches(max(by_thread.values(), key=len))
    figures = [summed(row) for row in rows]
    middle = Stretch(*(int(statistics.median(column)) for column in zip(*figures, strict=True)))
    print(", ".join(f"{name} {number}" for name, number in middle._asdict().items()))
    if "--files" in sys.argv:
        row = min(rows, key=lambda one: abs(len(one) - middle.calls))
        for file, times in Counter(file for file, _ in row).most_common():
            print(f"{times:5} {file}")


if __name__ == "__main__":
    main()
