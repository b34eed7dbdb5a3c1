"""`make mutants`: change the guarding code on purpose, a sample by seed, and count what the tests notice.

    python -m tests.mutants [--count 300] [--seed 1] [--module limits] [--workers 2] [--seconds 40]
                            [--measure [FILES]] [--again] [--at-least 0.9]
    python -m tests.mutants --known

Prints each survivor with its place and the change, then the score. Exit status 0 when the score is at least what is
asked for, 1 when it is less. Verdicts are kept in `.mutants/verdicts.json`; `--again` judges only the changes of the
sample that were not killed the last time, or that are new. `--known` judges the changes of `known.py` instead, each by
the test files that stand there.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.mutants.coverage import KEPT, SEEN, measured
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.known import known_mutants, known_tests
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.runner import Verdict, judge
from tests.mutants.targets import guarded_files

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the command."""
    options = _options()
    if options.known:
        return _known(options)
    mutants = sampled(options.count, options.seed, options.module)
    judged = [mutant for mutant in mutants if mutant.name not in EQUIVALENT]
    tests = measured(ROOT, options.measure)
    known = _kept() if options.again else {}
    left = [mutant for mutant in judged if mutant.name not in known or not known[mutant.name].is_killed]
    started, verdicts = time.monotonic(), {mutant.name: known[mutant.name] for mutant in judged if mutant not in left}
    for verdict in judge(ROOT, left, tests, options.workers, options.seconds):
        verdicts[verdict.name] = verdict
        _keep(verdicts)
        (ROOT / SEEN).write_text(json.dumps(tests.seconds))
        if not verdict.is_killed:
            print(f"{verdict.outcome:9} {verdict.path}:{verdict.line} {verdict.name}", flush=True)
        elif len(verdicts) % 25 == 0:
            print(f"          {len(verdicts)} of {len(judged)}", flush=True)
    return _told(verdicts, len(mutants), options, time.monotonic() - started)


def _known(options: argparse.Namespace) -> int:
    """Judge the changes made by hand; print which test noticed each."""
    pairs = [(one, mutant) for one, mutant in known_mutants(ROOT) if options.module in one.path]
    tests = known_tests(pairs)
    verdicts = {
        verdict.name: verdict for verdict in judge(ROOT, [one for _, one in pairs], tests, options.workers, 1000.0)
    }
    for one, mutant in pairs:
        verdict = verdicts[mutant.name]
        print(f"{verdict.outcome:9} {one.says}: {verdict.by}")
    missed = sum(not verdict.is_killed for verdict in verdicts.values())
    print(f"{len(pairs) - missed} of {len(pairs)} known changes killed")
    return min(missed, 1)


def sampled(count: int, seed: int, module: str = "") -> list[Mutant]:
    """Return `count` changes of the guarded modules, or all where there are fewer; the same for the same seed.

    Whether a change is drawn hangs on its own name: an edit elsewhere draws no other sample.
    """
    found = [one for path in guarded_files(ROOT, module) for one in mutants_of(path, (ROOT / path).read_text())]
    return sorted(found, key=lambda one: hashlib.sha256(f"{seed} {one.name}".encode()).digest())[:count]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--count", type=int, default=300, help="how many changes")
    parser.add_argument("--seed", type=int, default=1, help="which")
    parser.add_argument("--module", default="", help="only of files whose path contains this")
    parser.add_argument("--workers", type=int, default=2, help="how many side by side")
    parser.add_argument("--seconds", type=float, default=40.0, help="of tests, as measured, for one change")
    parser.add_argument("--measure", nargs="*", metavar="FILE", help="measure (new) test files, or all of them anew")
    parser.add_argument("--again", action="store_true", help="only what was not killed the last time")
    parser.add_argument("--known", action="store_true", help="the changes of tests/mutants/known.py")
    parser.add_argument("--at-least", type=float, default=0.0, help="the share that has to be killed")
    return parser.parse_args()


def _kept() -> Mapping[str, Verdict]:
    file = ROOT / KEPT / "verdicts.json"
    known = json.loads(file.read_text()) if file.exists() else []
    return {one["name"]: Verdict(**one) for one in known}


def _keep(verdicts: Mapping[str, Verdict]) -> None:
    told = [dataclasses.asdict(verdict) for verdict in verdicts.values()]
    (ROOT / KEPT / "verdicts.json").write_text(json.dumps(told, indent=1))


def _told(verdicts: Mapping[str, Verdict], sample: int, options: argparse.Namespace, seconds: float) -> int:
    killed = sum(verdict.is_killed for verdict in verdicts.values())
    share = killed / len(verdicts) if verdicts else 1.0
    outcomes = Counter(verdict.outcome for verdict in verdicts.values())
    print(
        f"{killed} of {len(verdicts)} changes killed: {share:.1%} (seed {options.seed}, {sample - len(verdicts)} "
        f"equivalent left out, {seconds:,.0f} s; {', '.join(f'{count} {name}' for name, count in outcomes.items())})"
    )
    return 0 if share >= options.at_least else 1


if __name__ == "__main__":
    raise SystemExit(main())
