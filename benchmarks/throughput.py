"""Requests a second, and CPU for each thousand: `parquill run` against a bare aiohttp loop.

Both ask the same local endpoint in turn, each in a process of its own on the same event loop
(uvloop): the bare loop with no limits, no books, rows appended to a list; Parquill with
everything on (limits, budget, ledger, typed answers, parts). Start-up is taken out by a run of
100 rows. Then peak memory at several sizes.

    python -m benchmarks.throughput [--rows 20000] [--latency 0.2] [--rounds 3] [--memory 5000 50000]
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

IN_FLIGHT = 256
PEAK_FILE = "PARQUILL_BENCHMARK_PEAK"
WORDS = "a quiet street in the old town with a row of bicycles and a red door under a wide grey sky"


def manifest(folder: Path, rows: int) -> Path:
    """Write a manifest: some 60 words and a picture's URL a row."""
    path = folder / f"manifest-{rows}.parquet"
    if not path.exists():
        texts = [f"Describe picture {i}. Context: {WORDS} {WORDS} {WORDS}" for i in range(rows)]
        urls = [f"https://pictures.example.org/{i:08d}.jpg" for i in range(rows)]
        table = pa.table({"id": [f"row-{i:08d}" for i in range(rows)], "text": texts, "image_url": urls})
        pq.write_table(table, path, row_group_size=20_000)
    return path


def job(folder: Path, rows: int, base_url: str) -> dict[str, object]:
    """The job that is measured: limits, budget, ledger and a typed schema."""
    return {
        "name": "bench",
        "manifest": {"path": str(manifest(folder, rows)), "id_column": "id", "image_columns": ["image_url"],
                     "keep_columns": []},
        "prompt": {"user": "{{ text }}"},
        "output": {"path": str(folder / "out"), "schema": "configs/schemas/caption.json", "mode": "json_schema"},
        "model": {"endpoint": base_url, "max_tokens": 128},
        "limits": {"max_in_flight": IN_FLIGHT, "requests_per_minute": 10_000_000, "tokens_per_minute": 10_000_000_000},
        "budget": {"usd": "1000"},
    }  # fmt: skip


def bare(path: Path, base_url: str) -> None:
    """The floor: 256 workers, one session, orjson, a list."""
    import asyncio

    import aiohttp
    import orjson
    import uvloop

    async def main() -> None:
        rows = pq.read_table(path).to_pylist()
        answers: list[object] = []
        left = iter(rows)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

            async def worker() -> None:
                for row in left:
                    content = [{"type": "text", "text": row["text"]},
                               {"type": "image_url", "image_url": {"url": row["image_url"]}}]  # fmt: skip
                    body = {"model": "google/gemma-3-4b-it", "max_tokens": 128, "temperature": 0.0,
                            "messages": [{"role": "user", "content": content}]}  # fmt: skip
                    async with session.post(base_url + "/chat/completions", data=orjson.dumps(body),
                                            headers={"Content-Type": "application/json"}) as reply:  # fmt: skip
                        answer = orjson.loads(await reply.read())
                    answers.append((row["id"], answer["choices"][0]["message"]["content"]))

            await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        assert len(answers) == len(rows)

    uvloop.run(main())


def ours(job_file: Path, *arguments: str) -> None:
    """`parquill run`, as a user starts it."""
    from parquill.cli import main

    sys.argv = ["parquill", "run", str(job_file), "--quiet", *arguments]
    main()


def measure(*arguments: str) -> tuple[float, float, float]:
    """Run one side in a process of its own: wall seconds, CPU seconds, peak MiB."""
    with tempfile.NamedTemporaryFile("r") as peak:
        started = time.perf_counter()
        environment = {**os.environ, PEAK_FILE: peak.name}
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.throughput", *arguments], env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{arguments} ended with {process.returncode}")
        return wall, usage.ru_utime + usage.ru_stime, float(peak.read())


def leave_peak() -> None:
    """Write this process's peak memory in MiB where the one that measures reads it.

    `ru_maxrss` will not do: a child's begins at what its parent had when it was started.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    Path(os.environ[PEAK_FILE]).write_text(str(int(status.split("VmHWM:")[1].split()[0]) / 1024), encoding="utf-8")


@contextlib.contextmanager
def endpoint(latency: float) -> Iterator[str]:
    """The lean endpoint in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.lean_endpoint", "0", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def one(side: str, folder: Path, rows: int, base_url: str) -> tuple[float, float, float]:
    """Measure one side once, from an empty output."""
    subprocess.run(["rm", "-rf", str(folder / "out"), str(folder / "out.parquill")], check=True)
    if side == "bare":
        return measure("bare", str(manifest(folder, rows)), base_url)
    job_file = folder / f"job-{rows}.json"
    job_file.write_text(json.dumps(job(folder, rows, base_url)))
    return measure("ours", str(job_file))


def compare(folder: Path, rows: int, latency: float, rounds: int) -> None:
    """Measure both sides in turn and print medians and their ratio."""
    small = 100
    with endpoint(latency) as base_url:
        runs: dict[str, list[tuple[float, float, float]]] = {"bare": [], "ours": []}
        for _ in range(rounds):
            for side, measured in runs.items():
                start = one(side, folder, small, base_url)
                whole = one(side, folder, rows, base_url)
                measured.append((whole[0] - start[0], whole[1] - start[1], whole[2]))
    print(f"\n{rows:,} rows, {latency * 1000:g} ms latency, {IN_FLIGHT} in flight, median of {rounds}, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"{'':12}{'req/s':>10}{'CPU s per 1,000':>18}{'peak MiB':>11}")
    figures = {}
    for side, measured in runs.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*measured, strict=True))
        figures[side] = cpu / (rows - small) * 1000
        print(f"{side:12}{(rows - small) / wall:>10,.0f}{figures[side]:>18.3f}{peak:>11.0f}")
    print(f"CPU ratio ours / bare: {figures['ours'] / figures['bare']:.2f}")
    if latency:
        print(f"ideal rate: {IN_FLIGHT / latency:,.0f} requests/s")


def main() -> None:
    """Run what the arguments ask for; the two sides call this in processes of their own."""
    if PEAK_FILE in os.environ:
        atexit.register(leave_peak)
    if sys.argv[1:2] == ["bare"]:
        bare(Path(sys.argv[2]), sys.argv[3])
        return
    if sys.argv[1:2] == ["ours"]:
        ours(Path(sys.argv[2]))
        return
    if sys.argv[1:2] == ["ours-json"]:
        ours(Path(sys.argv[2]), "--json", *sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--latency", type=float, nargs="*", default=[0.0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[5_000, 50_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for latency in options.latency:
            compare(folder, options.rows, latency, options.rounds)
        with endpoint(0.0) as base_url:
            for rows in options.memory:
                print(f"peak memory at {rows:,} rows: {one('ours', folder, rows, base_url)[2]:,.0f} MiB")


if __name__ == "__main__":
    main()
