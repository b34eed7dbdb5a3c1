"""How long from the start of a process to its first request, and to the help's last line.

`parquill run` on the sample job (pictures, schema, budget) against an endpoint in this process,
which notes when the first chat completion is asked for. The output is new each time, so nothing
is skipped; Parquill's modules are compiled before, as an installed package's are, and the first
of the runs is not counted (the disk's cache is cold then). What a Python takes to load the three
largest libraries and to end stands beside it: that much no program can save that uses them. CPU
seconds are told as well, since they stand a busy machine better.

    python -m benchmarks.start [ROUNDS]
"""

from __future__ import annotations

import asyncio
import compileall
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import parquill
from benchmarks.lean_endpoint import Lean

JOB = "configs/caption.yaml"
LIBRARIES = "import aiohttp, pyarrow.parquet, pydantic"


class Noting(Lean):
    """The lean endpoint, and when it was asked first."""

    first: asyncio.Future[tuple[float, float]]
    process: int

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST") and not self.first.done():
            self.first.set_result((time.perf_counter(), cpu_of(self.process)))
        super().data_received(data)


def cpu_of(process: int) -> float:
    """CPU seconds that a running process has taken so far; nan where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Start:
    """One run: wall and CPU seconds to its first request, CPU seconds of all of it with its worker processes."""

    seconds: float
    cpu: float
    whole_cpu: float


async def first_request(folder: Path, port: int) -> Start:
    """Start the run, wait for its first request and for its end."""
    Noting.first = asyncio.get_running_loop().create_future()
    overrides = {"model.endpoint": f"http://127.0.0.1:{port}/v1", "output.path": folder / "out"}
    options = [option for key, value in overrides.items() for option in ("--set", f"{key}={value}")]
    before, started = os.times(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "parquill", "run", JOB, "--quiet", "--limit", "20", *options
    )
    Noting.process = process.pid
    at, cpu = await Noting.first
    await process.wait()
    after = os.times()
    whole = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(at - started, cpu, whole)


async def ended(*arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds until a Python has come to its end."""
    before, started = os.times(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    seconds, after = time.perf_counter() - started, os.times()
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system


def show(what: str, seconds: list[float], cpu: list[float]) -> None:
    """Print one line; the first round is left out."""
    seconds, cpu = seconds[1:], cpu[1:]
    print(
        f"{what}: median {statistics.median(seconds):.2f} s, best {min(seconds):.2f} s; "
        f"CPU median {statistics.median(cpu):.2f} s, best {min(cpu):.2f} s"
    )


async def main(rounds: int) -> None:
    """Measure in turn and print medians."""
    compileall.compile_dir(Path(parquill.__file__).parent, quiet=1)
    server = await asyncio.get_running_loop().create_server(Noting, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    starts: list[Start] = []
    helps: list[tuple[float, float]] = []
    libraries: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as name:
            starts.append(await first_request(Path(name), port))
        helps.append(await ended("-m", "parquill", "--help"))
        libraries.append(await ended("-c", LIBRARIES))
    show(f"start to first request, {JOB}", [one.seconds for one in starts], [one.cpu for one in starts])
    print(f"CPU of the whole run of 20 rows: median {statistics.median(one.whole_cpu for one in starts[1:]):.2f} s")
    show("--help", *map(list, zip(*helps, strict=True)))
    show(LIBRARIES, *map(list, zip(*libraries, strict=True)))
    print(f"load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
