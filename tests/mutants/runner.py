"""One change at a time in a copy of the project, judged by the tests that run the changed line."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.coverage import Tests
from tests.mutants.operators import Mutant

_COPIED = (
    "parquill",
    "flows",
    "tasks",
    "tests",
    "configs",
    "data",
    "docs",
    "benchmarks",
    "pyproject.toml",
    "README.md",
)
STEPS = (2.0, 10.0)
"""Seconds of tests, as measured, that a change is held against at first: most fail there."""
_SLOWER = 20.0
"""A test may take so many times as long as it was measured, and `_MORE` seconds: a busy machine kills no mutant."""
_MORE = 20.0
_BEGIN = 60.0
"""Seconds in which the tests' modules are imported."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said of a change.

    `outcome`: killed (a test failed), hung (a test, or all of them, did not end), broken (a module could not be
    imported with the change), survived, or uncovered (no test runs the line). `by` and `why`: the test, and the last
    words of its failure.
    """

    name: str
    path: str
    line: int
    outcome: str
    by: str = ""
    why: str = ""
    tests: int = 0

    @property
    def is_killed(self) -> bool:
        """Whether the tests noticed the change."""
        return self.outcome in {"killed", "hung", "broken"}


def judge(root: Path, mutants: Sequence[Mutant], tests: Tests, workers: int, seconds: float) -> Iterator[Verdict]:
    """Yield a verdict for each change, as they come; one has survived after so many `seconds` of tests, as measured.

    At the end the tests that killed are run on the code as it is: what one of them killed that fails there, since the
    machine is busy, is judged again without it.
    """
    with contextlib.ExitStack() as stack:
        copies = _Copies(root, tests, workers, seconds, stack)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(workers))

        def verdicts(some: Sequence[Mutant], without: Container[str]) -> Iterator[tuple[Mutant, Verdict]]:
            asked = {pool.submit(copies.judge, mutant, without): mutant for mutant in some}
            for done in concurrent.futures.as_completed(asked):
                yield asked[done], done.result()

        left, flaky = list(mutants), set[str]()
        while left:
            killed: list[tuple[Mutant, str]] = []
            for mutant, verdict in verdicts(left, flaky):
                killed += [(mutant, verdict.by)] if verdict.is_killed and verdict.outcome != "broken" else []
                yield verdict
            fails = copies.failing(sorted({by for _, by in killed if by}))
            flaky |= fails
            left = [mutant for mutant, by in killed if by in fails]


class _Copies:
    """Copies of the project, each with a process that runs tests in it."""

    def __init__(self, root: Path, tests: Tests, workers: int, seconds: float, stack: contextlib.ExitStack) -> None:
        self._tests = tests
        self._steps = [*(step for step in STEPS if step < seconds), seconds]
        self._free: queue.SimpleQueue[_Copy] = queue.SimpleQueue()
        files = sorted({name.partition("::")[0] for name in tests.seconds})
        copies = []
        for _ in range(workers):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-"))) / "copy"
            _copy_to(root, folder)
            copies.append(stack.enter_context(contextlib.closing(_Copy(folder, files))))
        for copy in copies:
            copy.wait()
            self._free.put(copy)

    def judge(self, mutant: Mutant, without: Container[str]) -> Verdict:
        """Hold one change against its tests: some at first, and more where it survives them."""
        told: dict[str, Any] = {"outcome": "uncovered"}
        done: list[str] = []
        copy = self._free.get()
        try:
            with copy.changed(mutant) as before:
                for most in self._steps:
                    some = self._tests.of(mutant.path, mutant.line, most)
                    if some := [name for name in some if name not in done and name not in without]:
                        told = self._run(copy, some, mutant.path, before)
                        done += some
                    if told["outcome"] not in {"passed", "none", "uncovered"}:
                        break
        finally:
            self._free.put(copy)
        return _verdict(mutant, told, len(done))

    def failing(self, names: Sequence[str]) -> set[str]:
        """Return which of these tests fail on the code as it is."""
        failing: set[str] = set()
        copy = self._free.get()
        try:
            while left := [name for name in names if name not in failing]:
                told = self._run(copy, left)
                if told["outcome"] == "passed":
                    break
                if told["by"] not in left:
                    raise RuntimeError(f"the tests do not run on the code as it is: {told}")
                failing.add(told["by"])
        finally:
            self._free.put(copy)
        return failing

    def _run(self, copy: _Copy, names: Sequence[str], path: str = "", before: str = "") -> dict[str, Any]:
        files = list(dict.fromkeys(name.partition("::")[0] for name in names))  # what a file shares is made once
        names = sorted(names, key=lambda name: files.index(name.partition("::")[0]))
        limits = {name: _MORE + _SLOWER * self._tests.seconds.get(name, 1.0) for name in names}
        in_all = _BEGIN + _MORE + _SLOWER * sum(self._tests.seconds.get(name, 1.0) for name in names)
        told = copy.run({"tests": list(names), "limits": limits, "seconds": in_all, "path": path, "before": before})
        if not told:
            raise RuntimeError(f"the process that runs the tests has died: see {copy.folder}/server.txt")
        if told["outcome"] == "passed":
            self._tests.seconds.update(told["seconds"])
        return told


class _Copy:
    def __init__(self, folder: Path, files: Sequence[str]) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forks", *files], cwd=folder, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(folder)},
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until the tests are collected."""
        if self._answer().get("outcome") != "ready":
            raise RuntimeError(f"the tests cannot be collected: {(self.folder / 'server.txt').read_text()[-2000:]}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[str]:
        """Keep one change in the copy, for processes that begin there; return the file's text without it.

        The file's time stays as it was, so that its byte code is right again afterwards.
        """
        file = self.folder / mutant.path
        whole, status = file.read_text(), file.stat()
        file.write_text(mutant.applied(whole))
        try:
            yield whole
        finally:
            file.write_text(whole)
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have tests run in a fork of the copy's process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer


def _verdict(mutant: Mutant, told: dict[str, Any], tests: int) -> Verdict:
    outcome = {"passed": "survived", "failed": "killed", "none": "uncovered"}.get(told["outcome"], told["outcome"])
    if outcome == "killed" and told["why"].startswith("Failed: Timeout"):
        outcome = "hung"
    return Verdict(mutant.name, mutant.path, mutant.line, outcome, told.get("by", ""), told.get("why", ""), tests)


def _copy_to(root: Path, copy: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    copy.mkdir()
    for name in _COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=ignore)
        elif (root / name).exists():
            shutil.copy2(root / name, copy / name)
