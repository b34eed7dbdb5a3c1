"""`python -m tests.simulation.whole [--seeds N] [--from S] [--seed S] [--processes P]`: simulate whole runs.

Prints what each broken seed did; exits 1 if any did. `--seed S` sees one again and says all that happened.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import time

from tests.simulation.whole.seeds import simulate, warm_up


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=100)
    asked.add_argument("--from", type=int, default=0, dest="first")
    asked.add_argument("--seed", type=int)
    asked.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    given = asked.parse_args()
    if given.seed is not None:
        faults, log = simulate(given.seed)
        print(log, *faults, sep="\n")
        return 1 if faults else 0
    began, failed = time.monotonic(), 0
    with concurrent.futures.ProcessPoolExecutor(
        given.processes, multiprocessing.get_context("spawn"), initializer=warm_up
    ) as pool:
        seeds = range(given.first, given.first + given.seeds)
        for seed, (faults, _) in zip(seeds, pool.map(simulate, seeds, chunksize=4), strict=True):
            if faults:
                failed += 1
                print(f"seed {seed}:", *faults[:5], sep="\n    ", flush=True)
    print(f"{given.seeds} seeds, {failed} broken, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of what a seed decides
        sys.exit(
            subprocess.call(
                [sys.executable, "-m", "tests.simulation.whole", *sys.argv[1:]],
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        )
    sys.exit(main())
