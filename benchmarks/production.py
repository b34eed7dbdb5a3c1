"""What Prefect and several processes cost: start-up, and CPU for each 1,000 requests beyond it.

The same typed job, with everything on, against the lean endpoint: `parquill run`, the flow against a running
server, and a run shared by two processes of this machine, by Dask's and by Ray's (where they are
installed). CPU is that of a command with all its children, the server's apart, seen five times a second. Start-up is a
run of 100 rows; what comes beyond it is the work. `make demo` is measured as a user types it.

    python -m benchmarks.production [--rows 10000] [--only run flow local dask ray demo]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.endpoint import endpoint
from benchmarks.sides import job

SMALL = 100
SIDES = ("run", "flow", "local", "dask", "ray", "demo")
FLOW = [sys.executable, "-m", "flows.batch"]


def command(side: str, job_file: Path) -> list[str]:
    """One side as a user types it."""
    if side == "run":
        return [sys.executable, "-m", "parquill", "run", str(job_file), "--quiet"]
    if side == "local":
        return [sys.executable, "-m", "parquill", "run", str(job_file), "--quiet", "--set", "run.workers=2"]
    shared = [] if side == "flow" else ["--set", "run.workers=2", "--set", f"run.engine={side}"]
    return [*FLOW, str(job_file), *shared]


def measure(words: list[str], environment: dict[str, str], log: Path) -> tuple[float, float]:
    """Run a command to its end: wall seconds, and CPU seconds of it and its children."""
    started, used = time.perf_counter(), {}
    with log.open("ab") as sink:
        process = subprocess.Popen(words, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    spent = one.cpu_times()
                    used[one.pid, one.create_time()] = spent.user + spent.system
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
    return time.perf_counter() - started, sum(used.values())


@contextlib.contextmanager
def server(folder: Path, environment: dict[str, str], sides: list[str]) -> Iterator[psutil.Process | None]:
    """A Prefect server on a database of its own; None where no side asks one."""
    if not {"flow", "dask", "ray"} & set(sides):
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    words = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1"]
    with (folder / "server.log").open("wb") as sink:
        process = subprocess.Popen([*words, "--port", str(port)], env=environment, stdout=sink, stderr=sink)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{environment['PREFECT_API_URL']}/health"):
                break
            time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def show(side: str, small: tuple[float, float], whole: tuple[float, float], rows: int) -> float:
    """Print a side's line; return its CPU seconds for each 1,000 requests."""
    each = (whole[1] - small[1]) / (rows - SMALL) * 1000
    rate = (rows - SMALL) / max(whole[0] - small[0], 1e-9)
    print(f"{side:8}{small[0]:>12.1f}{small[1]:>14.1f}{rate:>10,.0f}{each:>18.3f}", flush=True)
    return each


def main() -> None:
    """Measure the sides that were asked for and that are installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", default=list(SIDES), choices=SIDES)
    options = parser.parse_args()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**kept, "RAY_AUTH_MODE": "disabled", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    found = {}
    with (
        tempfile.TemporaryDirectory() as name,
        endpoint(0.0) as base_url,
        server(Path(name), environment, options.only) as prefect,
    ):
        folder = Path(name)
        print(f"{options.rows:,} rows, load {os.getloadavg()[0]:.1f}")
        print(f"{'':8}{'start-up s':>12}{'start-up CPU':>14}{'req/s':>10}{'CPU s per 1,000':>18}")
        for side in options.only:
            if side == "demo" or (side in {"dask", "ray"} and importlib.util.find_spec(side) is None):
                continue
            ends = []
            for rows in (SMALL, options.rows):
                for left in ("out", "out.parquill"):
                    subprocess.run(["rm", "-rf", str(folder / left)], check=True)
                job_file = folder / f"job-{rows}.json"
                job_file.write_text(json.dumps(job(folder, rows, base_url)))
                ends.append(measure(command(side, job_file), environment, folder / "log"))
            found[side] = show(side, ends[0], ends[1], options.rows)
        spent = [one.cpu_times() for one in (prefect, *prefect.children(recursive=True))] if prefect else []
    if {"run", "flow"} <= found.keys():
        print(f"flow over engine: {100 * (found['flow'] / found['run'] - 1):+.1f} % of CPU, start-up aside")
    print(f"the server: {sum(one.user + one.system for one in spent):.1f} CPU s for all of it")
    if "demo" in options.only:
        wall, cpu = measure(["make", "demo"], kept, Path(os.devnull))
        print(f"make demo: {wall:.1f} s, {cpu:.1f} CPU s; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
