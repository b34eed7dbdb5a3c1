"""Which tests run which line of a guarded module, and how long each test takes: measured once, kept in a file.

The file goes stale with the code: `make mutants` measures again when any file of `parquill/` or `tests/` is newer.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.targets import STATED, judges

KEPT = Path(".mutants")


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests by the line that they run, the most particular test first."""

    by_line: dict[str, dict[int, list[str]]]
    """Path -> line -> names of tests."""
    seconds: dict[str, float]

    def of(self, path: str, line: int, most_seconds: float) -> list[str]:
        """Return the tests of a line; as many as fit into `most_seconds`, at least one."""
        chosen: list[str] = []
        total = 0.0
        for test in self.by_line.get(path, {}).get(line, []):
            total += self.seconds.get(test, 0.1)
            if chosen and total > most_seconds:
                break
            chosen.append(test)
        return chosen


def measured(root: Path, again: bool) -> Tests:
    """Return what was measured before, or run the judging tests once under coverage."""
    data, times = root / KEPT / "coverage", root / KEPT / "seconds.json"
    if again or not data.exists() or not times.exists():
        (root / KEPT).mkdir(exist_ok=True)
        _measure(root, data)
        times.write_text(json.dumps(_seconds(root / KEPT / "junit.xml")))
    return Tests(_by_line(root, data), json.loads(times.read_text()))


def _measure(root: Path, data: Path) -> None:
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "--timeout", "600",
        "-m", f"not ({' or '.join(STATED)})", "--cov=parquill", "--cov-context=test", "--cov-report=",
        f"--junitxml={root / KEPT / 'junit.xml'}", "-o", "junit_family=xunit1", *judges(root),
    ]  # fmt: skip
    environment = {**os.environ, "COVERAGE_FILE": str(data)}
    print("measuring which tests run which line (once, some minutes)", flush=True)
    done = subprocess.run(command, check=False, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(done.stdout[-3000:])
        raise SystemExit("the tests have to be green before code is changed on purpose")


def _seconds(report: Path) -> dict[str, float]:
    from xml.etree import ElementTree

    return {
        f"{case.get('file')}::{case.get('name')}": float(case.get("time") or 0)
        for case in ElementTree.parse(report).iter("testcase")
    }


def _by_line(root: Path, data: Path) -> dict[str, dict[int, list[str]]]:
    """Read coverage's database: its table `line_bits` holds a bitmap of lines for each file and context."""
    lines: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    with closing(sqlite3.connect(f"file:{data}?mode=ro", uri=True)) as db:
        weight = dict(db.execute("SELECT context_id, sum(length(numbits)) FROM line_bits GROUP BY context_id"))
        rows = db.execute(
            "SELECT f.path, c.id, c.context, l.numbits FROM line_bits l JOIN file f ON f.id = l.file_id "
            "JOIN context c ON c.id = l.context_id WHERE c.context != ''"
        ).fetchall()
    rows.sort(key=lambda row: weight[row[1]])
    for path, _, context, bits in rows:
        test, _, phase = context.rpartition("|")
        its = lines[str(Path(path).relative_to(root))]
        for line in (8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1):
            if phase and test not in its[line]:
                its[line].append(test)
    return lines
