"""`kill -9` in the middle of the throughput run, and what it cost: lost rows, requests paid twice, books.

The run of `throughput.py` is killed when the endpoint has answered a share of the rows, and started
again with the same command, KILLS times; the last start runs to its end. Counted is at the
endpoint, which answers on after its client has died and notes every picture that it was asked
about: a picture noted twice was paid for twice. There may be no more of those than requests that
the ledger holds in doubt; the others in doubt had died before they were sent.
Ends with status 1 where a row is lost, an answer is another row's, a second payment is unaccounted
for, or `parquill verify` finds something.

    python -m benchmarks.kills [--rows 20000] [--kills 3] [--latency 0.2]
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.endpoint import endpoint
from benchmarks.sides import IN_FLIGHT, job, side
from benchmarks.throughput import own_answers

_LOOK = 0.05
"""Seconds between two looks at the endpoint's log, which it writes ten times a second."""


def answered(log: Path) -> list[str]:
    """The pictures of all requests that the endpoint has answered, as far as it has written them down."""
    lines = log.read_text(encoding="ascii").split("\n")[:-1] if log.exists() else []
    return [line.partition(" ")[0] for line in lines]


def kill_at(command: list[str], log: Path, requests: int) -> bool:
    """Start a run and kill it when the endpoint has answered so many requests; False where it ended before."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if len(answered(log)) >= requests:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(_LOOK)
    return False


def doubts(folder: Path) -> int:
    """How many requests the ledger holds in doubt, over all runs."""
    with sqlite3.connect(folder / "out.parquill" / "ledger.sqlite") as db:
        (count,) = db.execute("SELECT coalesce(sum(doubts), 0) FROM spend").fetchone()
        return int(count)


def parquill(*words: str) -> dict[str, Any]:
    """Run a command with `--json`, and return what it printed."""
    command = [sys.executable, "-m", "parquill", *words, "--json"]
    told: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    return told


def judge(folder: Path, rows: int, noted: list[str], verified: dict[str, Any]) -> list[str]:
    """What is wrong, in words; print what was found."""
    times = collections.Counter(noted)
    twice, in_doubt = sum(count - 1 for count in times.values()), doubts(folder)
    found, books = own_answers(folder / "out"), verified["books"]
    print(f"rows with their own answer: {found:,} of {rows:,}; asked at the endpoint: {len(noted):,} times")
    print(f"paid twice: {twice}; in doubt in the ledger: {in_doubt}; never asked: {rows - len(times)}")
    print(f"verify holds: {verified['holds']}; books: {json.dumps(books)}")
    wrong = {
        "rows lack their own answer": found != rows,
        "rows were never asked for": len(times) != rows,
        "more was paid twice than is in doubt": twice > in_doubt,
        "verify does not hold": not verified["holds"],
    }
    return [what for what, is_so in wrong.items() if is_so]


def main() -> int:
    """Kill, resume, judge; the number of things that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2)
    options = parser.parse_args()
    rows = options.rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, job_file = folder / "asked", folder / "job.json"
        with endpoint(options.latency, log) as base_url:
            job_file.write_text(json.dumps(job(folder, rows, base_url)))
            command = side("ours", str(job_file), "--quiet")
            for kill in range(1, options.kills + 1):
                share = rows * kill // (options.kills + 1)
                killed = kill_at(command, log, share)
                print(f"kill {kill}, when {share:,} were answered: {'done' if killed else 'it had ended'}", flush=True)
            started = time.perf_counter()
            told = parquill("run", str(job_file), "--quiet")
            print(
                f"the last start: {time.perf_counter() - started:.1f} s, rows {told['rows']}, {told['requests']:,} sent"
            )
            verified = parquill("verify", str(job_file))
        wrong = judge(folder, rows, answered(log), verified)
        print(f"{options.latency * 1000:g} ms latency, {IN_FLIGHT} in flight, load {os.getloadavg()[0]:.1f}")
        for what in wrong:
            print(f"WRONG: {what}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
