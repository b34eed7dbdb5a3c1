"""Rows a second through the ledger, and what a row costs in CPU.

Each row is an intent that is awaited, then an outcome with a 500-byte result that is awaited,
as in a run; 256 rows are under way at any time. Goal: under 10 microseconds of CPU a row.

    python benchmarks/ledger.py [ROWS] [IN_FLIGHT] [FOLDER]
"""

from __future__ import annotations

import asyncio
import os
import statistics
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
    wall: list[float] = []
    cpu: list[float] = []
    for first in range(0, rows, ROWS_PER_SLICE):
        record = await ledger.slice(f"benchmark.{first:09d}.parquet", "")
        size = min(ROWS_PER_SLICE, rows - first)
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        await asyncio.gather(
            *(_rows(ledger, run, record.id, range(at, size, in_flight), payloads) for at in range(in_flight))
        )
        wall.append((time.perf_counter() - wall_before) / size)
        cpu.append((time.process_time() - cpu_before) / size)
        await ledger.begin_publish(record.id, f"part {first}", None)
        published = time.perf_counter()
        await ledger.finish_publish(record.id)
        published = time.perf_counter() - published
    told = ledger.statistics()
    ledger.close()
    print(f"rows {rows:,} · in flight {in_flight} · {told.operations / told.commits:.0f} operations a commit")
    print(f"rows a second {1 / statistics.median(wall):,.0f} (of slices the median), {1 / min(wall):,.0f} (the best)")
    print(f"CPU a row {statistics.median(cpu) * 1e6:.1f} us (the median), {min(cpu) * 1e6:.1f} us (the best)")
    print(f"a published slice leaves in {published * 1e3:.0f} ms · file {path.stat().st_size / 1e6:.1f} MB")


async def measure_floor(rows: int, in_flight: int) -> None:
    """Print what the event loop alone costs: the same tasks, waiting twice a row for a bare future."""
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []

    def wake() -> None:
        for future in waiting:
            future.set_result(None)
        waiting.clear()

    async def floor(count: int) -> None:
        for _ in range(2 * count):
            waiting.append(loop.create_future())
            if len(waiting) == in_flight:
                loop.call_soon(wake)
            await waiting[-1]

    before = time.process_time()
    await asyncio.gather(*(floor(rows // in_flight) for _ in range(in_flight)))
    print(f"of that the event loop's own: {(time.process_time() - before) / rows * 1e6:.1f} us")


async def measure_delay(path: Path, outcomes: int = 400) -> None:
    """Hand over an outcome every 5 ms and print how long each took to be durable; guaranteed are 50 ms."""
    ledger = Ledger.open(path, job="benchmark")
    run = await ledger.begin_run(realm="emulator", model="m", settings="", cap_pico=None)
    record = await ledger.slice("delay.000000.parquet", "")

    async def one(row: int) -> float:
        began = time.perf_counter()
        await ledger.record(
            run=run,
            slice_id=record.id,
            row=row,
            fingerprint=b"0123456789abcdef",
            ok=True,
            payload=bytes(PAYLOAD_BYTES),
            attempt=None,
            cost_pico=0,
            prompt_tokens=0,
            completion_tokens=0,
        )
        return time.perf_counter() - began

    waiting = []
    for row in range(outcomes):
        waiting.append(asyncio.create_task(one(row)))
        await asyncio.sleep(0.005)
    delays = sorted(await asyncio.gather(*waiting))
    ledger.close()
    print(f"durable after {delays[outcomes // 2] * 1e3:.0f} ms (the median), {delays[-1] * 1e3:.0f} ms (the longest)")


def main() -> None:
    rows, in_flight = (int(value) for value in [*sys.argv[1:3], *("50000", "256")[len(sys.argv[1:3]) :]])
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        asyncio.run(measure(Path(folder) / "ledger.sqlite", rows, in_flight))
        asyncio.run(measure_floor(rows, in_flight))
        asyncio.run(measure_delay(Path(folder) / "delay.sqlite"))


if __name__ == "__main__":
    main()
