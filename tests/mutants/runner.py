"""One change at a time in a copy of the project, judged by the tests that run the changed line."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.coverage import Tests
from tests.mutants.operators import Mutant

_COPIED = ("parquill", "flows", "tasks", "tests", "configs", "data", "docs", "pyproject.toml", "README.md")
MOST_SECONDS = 60.0
"""Seconds of tests, as measured on the code as it is, that one change is held against."""
_PATIENCE = 180.0
"""Seconds after which a change is taken for one that never ends: three times `MOST_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said of a change: killed, survived, or uncovered (no test runs the line)."""

    mutant: Mutant
    outcome: str
    tests: int


def judge(root: Path, mutants: Sequence[Mutant], tests: Tests, workers: int) -> Iterator[Verdict]:
    """Yield a verdict for each change, as they come."""
    with contextlib.ExitStack() as stack:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for _ in range(workers):
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-")))
            _copy_to(root, copy)
            copies.put(copy)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(workers))

        def one(mutant: Mutant) -> Verdict:
            copy = copies.get()
            try:
                return _judge(copy, mutant, tests.of(mutant.path, mutant.line, MOST_SECONDS))
            finally:
                copies.put(copy)

        for done in concurrent.futures.as_completed([pool.submit(one, mutant) for mutant in mutants]):
            yield done.result()


def _copy_to(root: Path, copy: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in _COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=ignore)
        else:
            shutil.copy(root / name, copy / name)


def _judge(copy: Path, mutant: Mutant, names: Sequence[str]) -> Verdict:
    if not names:
        return Verdict(mutant, "uncovered", 0)
    file = copy / mutant.path
    whole = file.read_text()
    file.write_text(mutant.applied(whole))
    (copy / "names.txt").write_text("\n".join(names))
    try:
        return Verdict(mutant, "survived" if _passes(copy) else "killed", len(names))
    finally:
        file.write_text(whole)


def _passes(copy: Path) -> bool:
    """Run the tests of `names.txt`; a run that does not end in time does not pass."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n", "0", "--no-header", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [*command, "@names.txt"], cwd=copy, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:  # fmt: skip
        try:
            return run.wait(_PATIENCE) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
