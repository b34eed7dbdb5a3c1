"""Who asks the endpoint in a benchmark, each in a process of its own, and what it costs there.

The bare loop is the floor: no limits, no retries, no books, answers appended to a list.
`parquill run` has everything on: limits, budget, ledger, typed answers, parts.

    python -m benchmarks.sides bare MANIFEST BASE_URL
    python -m benchmarks.sides ours JOB [ARGUMENTS OF parquill run …]
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

IN_FLIGHT = 256
PEAK_FILE = "PARQUILL_BENCHMARK_PEAK"
WORDS = "a quiet street in the old town with a row of bicycles and a red door under a wide grey sky"
CHUNK = 20_000


def manifest(folder: Path, rows: int) -> Path:
    """Write a manifest: some 60 words and a picture's URL a row."""
    path = folder / f"manifest-{rows}.parquet"
    if path.exists():
        return path
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("image_url", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, CHUNK):
            span = range(first, min(rows, first + CHUNK))
            texts = [f"Describe picture {i}. Context: {WORDS} {WORDS} {WORDS}" for i in span]
            urls = [f"https://pictures.example.org/{i:08d}.jpg" for i in span]
            writer.write_table(pa.table([[f"row-{i:08d}" for i in span], texts, urls], schema=schema))
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
    """The floor: 256 workers, one session, orjson, a list, uvloop."""
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
    from parquill.__main__ import main

    sys.argv = ["parquill", "run", str(job_file), *arguments]
    main()


@dataclass(frozen=True)
class Spent:
    """What one process took: wall and CPU seconds (its children's with it), peak memory in MiB."""

    wall: float
    cpu: float
    peak: float

    def without(self, start: Spent) -> Spent:
        """Take away what a start alone takes; the peak stays."""
        return Spent(self.wall - start.wall, self.cpu - start.cpu, self.peak)


def measure(command: list[str]) -> Spent:
    """Run a command to its end; it leaves its peak by `leave_peak`, or as `rivals/common.py` does."""
    with tempfile.NamedTemporaryFile("r") as peak:
        environment = {**os.environ, PEAK_FILE: peak.name}
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
        return Spent(wall, usage.ru_utime + usage.ru_stime, float(peak.read()))


def clear(folder: Path) -> None:
    """Take away a run's output, so that the next begins at nothing."""
    for name in ("out", "out.parquill"):
        shutil.rmtree(folder / name, ignore_errors=True)


def side(*words: str) -> list[str]:
    """The command of a side of this file."""
    return [sys.executable, "-m", "benchmarks.sides", *words]


def leave_peak() -> None:
    """Write this process's peak memory in MiB where the one that measures reads it.

    `ru_maxrss` will not do: a child's begins at what its parent had when it was started.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    Path(os.environ[PEAK_FILE]).write_text(str(int(status.split("VmHWM:")[1].split()[0]) / 1024), encoding="utf-8")


if __name__ == "__main__":
    if PEAK_FILE in os.environ:
        atexit.register(leave_peak)
    if sys.argv[1] == "bare":
        bare(Path(sys.argv[2]), sys.argv[3])
    else:
        ours(Path(sys.argv[2]), *sys.argv[3:])
