"""What Prefect and several processes cost: start-up, and CPU for each 1,000 requests beyond it.

The same typed job, with everything on, against the lean endpoint: `parquill run`, the same with `parquill report`
after it, the flow against a running server (which writes the report, too), and a run shared by two processes of this
machine, by Dask's and by Ray's (where they are installed). CPU is that of a command and its children, the server's
apart: as the system counts it at their end, or as it was seen five times a second where that is more (Ray does not
wait for its processes). Start-up is a run of 100 rows; what comes beyond it is the work. The sides take turns, round
by round; each figure is the median of the rounds. `make demo` is measured as a user types it.

    python -m benchmarks.production [--rows 10000] [--rounds 3] [--only run reported flow local dask ray demo]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import statistics
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
SIDES = ("run", "reported", "flow", "local", "dask", "ray", "demo")
FLOW = [sys.executable, "-m", "flows.batch"]


def commands(side: str, job_file: Path) -> list[list[str]]:
    """One side as a user types it."""
    run = [sys.executable, "-m", "parquill", "run", str(job_file), "--quiet"]
    if side == "run":
        return [run]
    if side == "reported":
        return [run, [sys.executable, "-m", "parquill", "report", str(job_file)]]
    if side == "local":
        return [[*run, "--set", "run.workers=2"]]
    shared = [] if side == "flow" else ["--set", "run.workers=2", "--set", f"run.engine={side}"]
    return [[*FLOW, str(job_file), *shared]]


def measure(words: list[str], environment: dict[str, str], log: Path) -> tuple[float, float]:
    """Run a command to its end: wall seconds, and CPU seconds of it and its children."""
    started, used = time.perf_counter(), {}
    with log.open("ab") as sink:
        process = subprocess.Popen(words, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    root = psutil.Process(process.pid)
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        with contextlib.suppress(psutil.Error):
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    spent = one.cpu_times()
                    used[one.pid, one.create_time()] = spent.user + spent.system
        time.sleep(0.2)
    process.returncode, counted = os.waitstatus_to_exitcode(ended[1]), ended[2].ru_utime + ended[2].ru_stime
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
    return time.perf_counter() - started, max(counted, sum(used.values()))


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


Ends = tuple[tuple[float, float], tuple[float, float]]
"""Wall and CPU seconds of a run of `SMALL` rows, and of one of all rows."""


def one_round(side: str, folder: Path, rows: int, base_url: str, environment: dict[str, str]) -> Ends:
    """Run a side twice, each time from nothing."""
    ends = []
    for count in (SMALL, rows):
        for left in ("out", "out.parquill"):
            shutil.rmtree(folder / left, ignore_errors=True)
        job_file = folder / f"job-{count}.json"
        job_file.write_text(json.dumps(job(folder, count, base_url)))
        parts = [measure(words, environment, folder / "log") for words in commands(side, job_file)]
        ends.append((sum(wall for wall, _ in parts), sum(cpu for _, cpu in parts)))
    return ends[0], ends[1]


def show(side: str, rounds: list[Ends], rows: int) -> float:
    """Print a side's line; return its CPU seconds for each 1,000 requests."""
    wall, cpu = (statistics.median(small[which] for small, _ in rounds) for which in (0, 1))
    works = [(whole[0] - small[0], whole[1] - small[1]) for small, whole in rounds]
    rate = statistics.median((rows - SMALL) / max(seconds, 1e-9) for seconds, _ in works)
    each = sorted(spent / (rows - SMALL) * 1000 for _, spent in works)
    spread = f"{each[0]:.3f} to {each[-1]:.3f}"
    print(f"{side:9}{wall:>12.1f}{cpu:>14.1f}{rate:>10,.0f}{statistics.median(each):>18.3f}  {spread}", flush=True)
    return statistics.median(each)


def is_there(side: str) -> bool:
    """Whether a side is measured in rounds, and installed."""
    return side != "demo" and (side not in {"dask", "ray"} or importlib.util.find_spec(side) is not None)


def main() -> None:
    """Measure the sides that were asked for and that are installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(SIDES), choices=SIDES)
    options = parser.parse_args()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**kept, "RAY_AUTH_MODE": "disabled", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (
        tempfile.TemporaryDirectory() as name,
        endpoint(0.0) as base_url,
        server(Path(name), environment, options.only) as prefect,
    ):
        folder = Path(name)
        print(f"{options.rows:,} rows, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
        print(f"{'':9}{'start-up s':>12}{'start-up CPU':>14}{'req/s':>10}{'CPU s per 1,000':>18}  from, to")
        rounds: dict[str, list[Ends]] = {side: [] for side in options.only if is_there(side)}
        for _ in range(options.rounds):
            for side, ends in rounds.items():
                ends.append(one_round(side, folder, options.rows, base_url, environment))
        found = {side: show(side, ends, options.rows) for side, ends in rounds.items()}
        spent = [one.cpu_times() for one in (prefect, *prefect.children(recursive=True))] if prefect else []
    for side in found.keys() & {"run", "reported"}:
        if "flow" in found:
            print(f"flow over {side}: {100 * (found['flow'] / found[side] - 1):+.1f} % of CPU, start-up aside")
    print(f"the server: {sum(one.user + one.system for one in spent):.1f} CPU s for all of it")
    if "demo" in options.only:
        wall, cpu = measure(["make", "demo"], kept, Path(os.devnull))
        print(f"make demo: {wall:.1f} s, {cpu:.1f} CPU s; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
