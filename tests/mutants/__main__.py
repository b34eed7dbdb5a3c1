"""`make mutants`: change the guarding code on purpose, a sample by seed, and count what the tests notice.

    python -m tests.mutants [--count 300] [--seed 1] [--module limits] [--workers 2] [--measure] [--at-least 0.9]

Prints each survivor with its place and the change, then the score. Exit status 0 when the score is at least what is
asked for, 1 when it is less.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from tests.mutants.coverage import measured
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.runner import Verdict, judge
from tests.mutants.targets import guarded_files

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the command."""
    options = _options()
    mutants = sampled(options.count, options.seed, options.module)
    judged = [mutant for mutant in mutants if mutant.name not in EQUIVALENT]
    tests = measured(ROOT, again=options.measure)
    started, verdicts = time.monotonic(), []
    for verdict in judge(ROOT, judged, tests, options.workers):
        verdicts.append(verdict)
        if verdict.outcome != "killed":
            print(f"{verdict.outcome:9} {verdict.mutant.path}:{verdict.mutant.line} {verdict.mutant.name}", flush=True)
        elif len(verdicts) % 25 == 0:
            print(f"          {len(verdicts)} of {len(judged)}", flush=True)
    return _told(verdicts, len(mutants), options, time.monotonic() - started)


def sampled(count: int, seed: int, module: str = "") -> list[Mutant]:
    """Return `count` changes of the guarded modules, or all where there are fewer; the same for the same seed."""
    found = [one for path in guarded_files(ROOT, module) for one in mutants_of(path, (ROOT / path).read_text())]
    return random.Random(seed).sample(found, min(count, len(found)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--count", type=int, default=300, help="how many changes")
    parser.add_argument("--seed", type=int, default=1, help="which")
    parser.add_argument("--module", default="", help="only of files whose path contains this")
    parser.add_argument("--workers", type=int, default=2, help="how many side by side")
    parser.add_argument("--measure", action="store_true", help="measure which tests run which line anew")
    parser.add_argument("--at-least", type=float, default=0.0, help="the share that has to be killed")
    return parser.parse_args()


def _told(verdicts: list[Verdict], sample: int, options: argparse.Namespace, seconds: float) -> int:
    killed = sum(verdict.outcome == "killed" for verdict in verdicts)
    share = killed / len(verdicts) if verdicts else 1.0
    listed = sample - len(verdicts)
    print(
        f"{killed} of {len(verdicts)} changes killed: {share:.1%} (seed {options.seed}, {listed} equivalent left out, "
        f"{seconds:,.0f} s)"
    )
    return 0 if share >= options.at_least else 1


if __name__ == "__main__":
    raise SystemExit(main())
