"""`parquill estimate`, `run --max-usd` and `parquill.estimation`, as people use them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from parquill.cli import app


@pytest.fixture
def job(tmp_path: Path) -> Path:
    texts = [f"Describe thing {number}." for number in range(12)]
    pq.write_table(pa.table({"id": list(range(12)), "text": texts}), tmp_path / "m.parquet")
    source = {
        "name": "dry",
        "manifest": {"path": str(tmp_path / "m.parquet"), "id_column": "id"},
        "prompt": {"user_column": "text"},
        "output": {"path": str(tmp_path / "out")},
        "model": {"endpoint": "emulator"},
    }
    path = tmp_path / "job.json"
    path.write_text(json.dumps(source))
    return path


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_json_is_one_object_on_standard_output(job: Path) -> None:
    status, out, _ = call("estimate", job, "--json")
    assert status == 0
    told: dict[str, Any] = json.loads(out)
    assert told["rows"] == {"todo": 12, "kept": 0, "equal": 0, "failing": 0}


def test_people_get_a_table(job: Path) -> None:
    status, out, _ = call("estimate", job)
    assert status == 0
    assert "12 rows to send" in out


def test_an_estimate_above_the_sum_exits_2_after_it_was_shown(job: Path) -> None:
    status, out, error = call("estimate", job, "--json", "--max-usd", "0.00000001")
    assert status == 2
    assert json.loads(out)["rows"]["todo"] == 12
    assert "may cost up to" in error


def test_a_run_above_the_sum_does_not_start(job: Path) -> None:
    status, out, error = call("run", job, "--json", "--max-usd", "0.00000001")
    assert (status, out) == (2, "")
    assert "Nothing was sent" in error
    assert not (job.parent / "out").exists()


def test_a_run_below_the_sum_goes_on_as_ever(job: Path) -> None:
    status, out, _ = call("run", job, "--json", "--max-usd", "1")
    assert status == 0
    assert json.loads(out)["rows"]["ok"] == 12


@pytest.mark.parametrize("sum_", ["two", "-1", "nan", "inf"])
def test_what_is_no_sum_of_money_is_refused(job: Path, sum_: str) -> None:
    status, _, error = call("run", job, "--max-usd", sum_)
    assert status == 2
    assert "no sum of money" in error


def test_an_embedded_rehearsal_of_an_estimate_leaves_no_bill(job: Path) -> None:
    call("estimate", job)
    assert not (job.parent / "out.parquill" / "emulator.jsonl").exists()


def test_no_module_is_called_like_a_public_function() -> None:
    """`import parquill.verify` set the package's attribute `verify` to the module."""
    code = (
        "import pkgutil, parquill; names = {one.name for one in pkgutil.iter_modules(parquill.__path__)}; "
        "assert not names & set(parquill.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_python_gets_the_estimate_as_a_value(job: Path) -> None:
    from parquill import estimate

    found = estimate(job)
    assert found.rows.todo == 12
    assert found.cost is not None
