"""Which modules are changed, and the tests that judge them."""

from __future__ import annotations

from pathlib import Path

GUARDS = (
    "parquill/booking.py",
    "parquill/budget.py",
    "parquill/days.py",
    "parquill/finish_reasons.py",
    "parquill/limits",
    "parquill/ledger",
    "parquill/prices",
    "parquill/replies",
    "parquill/results",
    "parquill/retry.py",
    "parquill/answers/coerce.py",
    "parquill/answers/repair.py",
    "parquill/answers/verify_repair.py",
    "parquill/fetch",
    "parquill/asking/row_costs.py",
    "parquill/asking/attempts.py",
    "parquill/planning/fingerprint_index.py",
    "parquill/planning/other_outputs.py",
    "parquill/planning/part_reader.py",
    "parquill/planning/planner.py",
    "parquill/planning/run_plan.py",
    "parquill/deduplication/finder.py",
    "parquill/deduplication/answered_rows.py",
    "parquill/portions",
)
"""Code that guards money, limits, completeness and safety."""

JUDGES = (
    "tests/e2e",
    "tests/portions",
    "tests/property",
    "tests/test_answers*.py",
    "tests/test_booking*.py",
    "tests/test_budget*.py",
    "tests/test_cli.py",
    "tests/test_client*.py",
    "tests/test_days*.py",
    "tests/test_duplicates.py",
    "tests/test_fetch*.py",
    "tests/test_finish*.py",
    "tests/test_ledger*.py",
    "tests/test_limits*.py",
    "tests/test_prices*.py",
    "tests/test_publishing*.py",
    "tests/test_parts*.py",
    "tests/test_replies*.py",
    "tests/test_results*.py",
    "tests/test_retry*.py",
    "tests/test_fingerprint_index*.py",
    "tests/test_verify*.py",
)
"""Tests of the fast lane that may notice a change of them; the others would only take time."""

STATED = "real", "chaos", "browser", "prefect_server", "cluster"
"""Markers of other lanes."""


def guarded_files(root: Path, wanted: str = "") -> list[str]:
    """Return the paths of the guarded modules, from `root`, whose path contains `wanted`."""
    files = [
        file
        for guard in GUARDS
        for file in (sorted((root / guard).rglob("*.py")) if (root / guard).is_dir() else [root / guard])
    ]
    return [name for file in files if file.is_file() and wanted in (name := str(file.relative_to(root)))]


def judges(root: Path) -> list[str]:
    """Return the paths of the judging test files and folders, from `root`."""
    return sorted(str(path.relative_to(root)) for pattern in JUDGES for path in root.glob(pattern))
