"""Which tests run which line of a guarded module, and how long each test takes: measured once, kept in files.

A measurement is a folder of `.mutants/` with coverage's database, the seconds of each test and the sources as they
were. The code may change afterwards: a line is looked up where it stood then. New tests are measured alone, with
`--measure FILES`, and stand beside the others.
"""

from __future__ import annotations

import difflib
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.targets import STATED, guarded_files, judges

KEPT = Path(".mutants")
SEEN = KEPT / "seen.json"
_SHORTEST = 0.2
"""Seconds that any test takes, its set-up included."""


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests by the line that they run, the most particular and cheapest first."""

    by_line: Mapping[str, Mapping[int, Sequence[str]]]
    """Path -> line -> names of tests. Line 0: tests that run any line of a file, for what runs when it is imported."""
    seconds: dict[str, float]
    """As measured, and as seen since."""

    def of(self, path: str, line: int, most_seconds: float) -> list[str]:
        """Return the tests of a line; as many as fit into `most_seconds`, at least one."""
        lines = self.by_line.get(path, {})
        chosen: list[str] = []
        total = 0.0
        for test in lines.get(line) or lines.get(0, ()):
            total += self.seconds.get(test, _SHORTEST)
            if chosen and total > most_seconds:
                break
            chosen.append(test)
        return chosen


def measured(root: Path, again: Sequence[str] | None) -> Tests:
    """Return what was measured before, after measuring what is missing.

    Args:
        root: The project.
        again: Test files that are to be measured (anew); empty: all of them; None: only where nothing was measured.
    """
    (root / KEPT).mkdir(exist_ok=True)
    if again or not list(_measurements(root)):
        _measure(root, again or judges(root), f"{len(list(_measurements(root))) + 1:03}")
    elif again is not None:
        for old in _measurements(root):
            (old / "seconds.json").unlink()
        _measure(root, judges(root), "001")
    return _read(root)


def _measurements(root: Path) -> Iterator[Path]:
    return (folder for folder in sorted((root / KEPT).iterdir()) if (folder / "seconds.json").exists())


def _measure(root: Path, files: Sequence[str], name: str) -> None:
    folder = root / KEPT / name
    folder.mkdir(exist_ok=True)
    sources = {path: (root / path).read_text() for path in guarded_files(root)}
    (folder / "sources.json").write_text(json.dumps(sources))
    parallel = ["-n", "2", "--dist", "loadfile"] if len(files) > 3 else ["-n", "0"]
    command = [
        sys.executable, "-m", "pytest", "-q", *parallel, "--timeout", "600", "-m", f"not ({' or '.join(STATED)})",
        "--cov=parquill", "--cov-context=test", "--cov-report=", f"--junitxml={folder / 'junit.xml'}",
        "-o", "junit_family=xunit1", *files,
    ]  # fmt: skip
    environment = {**os.environ, "COVERAGE_FILE": str(folder / "coverage")}
    print(f"measuring which tests run which line: {len(files)} files and folders", flush=True)
    subprocess.run(command, check=False, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    seconds, failed = _seconds(root, folder / "junit.xml")
    for test in failed:
        print(f"left out, since it fails on the code as it is: {test}")
    if not seconds:
        raise SystemExit("no test passed: run the tests first")
    (folder / "seconds.json").write_text(json.dumps(seconds))


def _seconds(root: Path, report: Path) -> tuple[dict[str, float], list[str]]:
    """Return the seconds of each test that passed, and the names of those that did not."""
    seconds: dict[str, float] = {}
    failed: list[str] = []
    for case in ElementTree.parse(report).iter("testcase"):
        name = _name(root, str(case.get("classname")).split("."), str(case.get("name")))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is None:
            seconds[name] = float(case.get("time") or 0)
    return {name: taken for name, taken in seconds.items() if name not in failed}, failed


def _name(root: Path, places: Sequence[str], test: str) -> str:
    """Return a test's name from the module and the classes that it stands in."""
    for count in range(len(places), 0, -1):
        file = "/".join(places[:count]) + ".py"
        if (root / file).exists():
            return "::".join([file, *places[count:], test])
    return test


def _read(root: Path) -> Tests:
    seconds: dict[str, float] = {}
    lines: dict[str, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for folder in _measurements(root):
        passed = json.loads((folder / "seconds.json").read_text())
        seconds.update(passed)
        moved = _moved(root, json.loads((folder / "sources.json").read_text()))
        for path, line, test, weight in _rows(folder / "coverage", passed):
            for now in (*moved.get(path, {}).get(line, ()), 0):
                lines[path][now][test] = weight
    seen = json.loads((root / SEEN).read_text()) if (root / SEEN).exists() else {}
    seconds.update({test: taken for test, taken in seen.items() if test in seconds})
    by_line = {path: {line: _ordered(tests, seconds) for line, tests in its.items()} for path, its in lines.items()}
    return Tests(by_line, seconds)


def _ordered(weights: Mapping[str, int], seconds: Mapping[str, float]) -> list[str]:
    """Order tests: first those that run little else and end soon, and not all of one file before those of another."""
    costs: dict[str, float] = {test: weight * (_SHORTEST + seconds[test]) for test, weight in weights.items()}
    places: Counter[str] = Counter()
    for test in sorted(costs, key=lambda test: (costs[test], test)):
        file = test.partition("::")[0]
        places[file] += 1
        costs[test] *= places[file]
    return sorted(costs, key=lambda test: (costs[test], test))


def _rows(data: Path, passed: Mapping[str, float]) -> Iterator[tuple[str, int, str, int]]:
    """Read path, line, test and the test's weight (how much of the code it runs) from coverage's database.

    Its table `line_bits` holds a bitmap of lines for each file and context.
    """
    with closing(sqlite3.connect(f"file:{data}?mode=ro", uri=True)) as db:
        weight = dict(db.execute("SELECT context_id, sum(length(numbits)) FROM line_bits GROUP BY context_id"))
        rows = db.execute(
            "SELECT f.path, c.id, c.context, l.numbits FROM line_bits l JOIN file f ON f.id = l.file_id "
            "JOIN context c ON c.id = l.context_id WHERE c.context LIKE '%|run'"
        ).fetchall()
    for path, context, name, bits in rows:
        test = name.removesuffix("|run")
        if test in passed and "/parquill/" in path:
            here = "parquill/" + path.rpartition("/parquill/")[2]
            for at, byte in enumerate(bits):
                for bit in range(8):
                    if byte >> bit & 1:
                        yield here, 8 * at + bit, test, weight[context]


def _moved(root: Path, sources: Mapping[str, str]) -> dict[str, dict[int, list[int]]]:
    """Return where each line of the sources as they were stands now: path -> line then -> lines now."""
    moved: dict[str, dict[int, list[int]]] = {}
    for path, before in sources.items():
        then = before.splitlines()
        now = (root / path).read_text().splitlines() if (root / path).exists() else []
        its = moved.setdefault(path, {})
        if then == now:
            its.update({line: [line] for line in range(1, len(then) + 1)})
            continue
        for kind, first, last, start, end in difflib.SequenceMatcher(None, then, now, autojunk=False).get_opcodes():
            if kind == "equal":
                its.update({first + 1 + at: [start + 1 + at] for at in range(last - first)})
            elif kind == "replace":
                its.update({line + 1: list(range(start + 1, end + 1)) for line in range(first, last)})
    return moved
