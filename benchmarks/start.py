"""How long from the start of a process to its first request, and to the help's last line.

`parquill run` on the sample job (pictures, schema, budget) against an endpoint in this process,
which notes when the first chat completion is asked for. The output is new each time, so nothing
is skipped; the first of the runs is not counted (the disk's cache is cold then). What a Python takes
to load the three largest libraries and to end stands beside it: that much no program can save that uses them.

    python -m benchmarks.start [ROUNDS]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lean_endpoint import Lean

JOB = "configs/caption.yaml"
LIBRARIES = "import aiohttp, pyarrow.parquet, pydantic"


class Noting(Lean):
    """The lean endpoint, and when it was asked first."""

    first: asyncio.Future[float]

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST") and not self.first.done():
            self.first.set_result(time.perf_counter())
        super().data_received(data)


async def first_request(folder: Path, port: int) -> tuple[float, float]:
    """Start the run; seconds to its first request, and CPU seconds of the whole run with its worker processes."""
    Noting.first = asyncio.get_running_loop().create_future()
    overrides = {"model.endpoint": f"http://127.0.0.1:{port}/v1", "output.path": folder / "out"}
    options = [option for key, value in overrides.items() for option in ("--set", f"{key}={value}")]
    before, started = os.times(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "parquill", "run", JOB, "--quiet", "--limit", "20", *options
    )
    seconds = await Noting.first - started
    await process.wait()
    after = os.times()
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system


async def ended(*arguments: str) -> float:
    """Seconds until a Python has come to its end."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return time.perf_counter() - started


async def main(rounds: int) -> None:
    """Measure and print medians."""
    server = await asyncio.get_running_loop().create_server(Noting, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    starts, helps, libraries = [], [], []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as name:
            starts.append(await first_request(Path(name), port))
        helps.append(await ended("-m", "parquill", "--help"))
        libraries.append(await ended("-c", LIBRARIES))
    seconds, cpu = (statistics.median(column) for column in zip(*starts[1:], strict=True))
    print(f"start to first request, {JOB}: median {seconds:.2f} s, best {min(one for one, _ in starts[1:]):.2f} s")
    print(f"CPU of the whole run of 20 rows, its worker processes with it: median {cpu:.2f} s")
    print(f"--help: median {statistics.median(helps[1:]):.2f} s, best {min(helps[1:]):.2f} s")
    print(f"{LIBRARIES}: median {statistics.median(libraries[1:]):.2f} s, best {min(libraries[1:]):.2f} s")
    print(f"load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
