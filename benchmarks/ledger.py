"""Rows a second through the ledger, and what a row costs in CPU.

Each row is an intent that is awaited, then an outcome with a 500-byte result that is awaited,
as in a run; 256 rows are under way at any time. Goal: under 10 microseconds of CPU a row.

    python benchmarks/ledger.py [ROWS] [IN_FLIGHT] [FOLDER]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from parquill.ledger import Ledger

PAYLOAD_BYTES = 500
ROWS_PER_SLICE = 10_000


async def _rows(ledger: Ledger, run: int, slice_id: int, rows: range, payloads: list[bytes]) -> None:
    for row in rows:
        attempt, intended = ledger.intend(
            run=run,
            slice_id=slice_id,
            row=row,
            number=1,
            fingerprint=b"0123456789abcdef",
            worst_pico=40_000,
            worst_tokens=1_500,
            sent_at=1_790_000_000_000_000,
        )
        await intended
        await ledger.record(
            run=run,
            slice_id=slice_id,
            row=row,
            fingerprint=b"0123456789abcdef",
            ok=True,
            payload=payloads[row % len(payloads)],
            attempt=attempt,
            cost_pico=24_800,
            prompt_tokens=1_000,
            completion_tokens=120,
        )


async def measure(path: Path, rows: int, in_flight: int) -> None:
    """Push `rows` rows through a new ledger, slice after slice, and print what it took."""
    payloads = [os.urandom(PAYLOAD_BYTES) for _ in range(64)]
    ledger = Ledger.open(path, job="benchmark")
    run = await ledger.begin_run(realm="emulator", model="m", settings="", cap_pico=None)
    wall = cpu = 0.0
    for first in range(0, rows, ROWS_PER_SLICE):
        record = await ledger.slice(f"benchmark.{first:09d}.parquet", "")
        size = min(ROWS_PER_SLICE, rows - first)
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        await asyncio.gather(
            *(_rows(ledger, run, record.id, range(at, size, in_flight), payloads) for at in range(in_flight))
        )
        wall += time.perf_counter() - wall_before
        cpu += time.process_time() - cpu_before
        await ledger.begin_publish(record.id, f"part {first}", None)
        published = time.perf_counter()
        await ledger.finish_publish(record.id)
        published = time.perf_counter() - published
    told = ledger.statistics()
    ledger.close()
    print(f"rows {rows:,} · in flight {in_flight} · {told.operations / told.commits:.0f} operations a commit")
    print(f"rows a second {rows / wall:,.0f} · wall a row {wall / rows * 1e6:.1f} us")
    print(f"CPU a row {cpu / rows * 1e6:.1f} us")
    print(f"a published slice leaves in {published * 1e3:.0f} ms · file {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    rows, in_flight = (int(value) for value in (*sys.argv[1:3], "50000", "256")[:2])
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        asyncio.run(measure(Path(folder) / "ledger.sqlite", rows, in_flight))


if __name__ == "__main__":
    main()
