"""The command line: exit statuses, `--json`, and every input that is refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from parquill.cli import app

RUN_KEYS = {
    "rows": {"total", "ok", "failed", "not_attempted", "kept", "reused"},
    "tokens": {"prompt", "completion"},
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a manifest and a job file on it."""

    def write(table: Any = None, **sections: Any) -> Path:
        table = {"id": [1, 2, 3], "text": ["one", "two", "three"]} if table is None else table
        manifest = tmp_path / "m.parquet"
        if isinstance(table, bytes):
            manifest.write_bytes(table)
        else:
            pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), manifest)
        job: dict[str, Any] = {
            "name": "small",
            "manifest": {"path": str(manifest), "id_column": "id"},
            "prompt": {"user_column": "text"},
            "output": {"path": str(tmp_path / "out")},
            "model": {"endpoint": "emulator", "max_tokens": 32},
        }
        for section, values in sections.items():
            job[section] = {**job[section], **values} if isinstance(job.get(section), dict) else values
        path = tmp_path / "job.json"
        path.write_text(json.dumps(job))
        return path

    return write


def parquill(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_run_answers_with_one_json_object_and_nothing_else(write: Write) -> None:
    done = parquill("run", write(), "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert set(said) == {"rows", "requests", "cost_usd", "in_doubt_usd", "tokens", "seconds", "stopped_by"}
    for key, keys in RUN_KEYS.items():
        assert set(said[key]) == keys
    assert said["rows"] == {"total": 3, "ok": 3, "failed": 0, "not_attempted": 0, "kept": 0, "reused": 0}
    assert said["requests"] == 3
    assert isinstance(said["cost_usd"], str) and float(said["cost_usd"]) > 0
    assert (said["in_doubt_usd"], said["stopped_by"]) == ("0", None)


def test_run_again_sends_nothing_and_says_so(write: Write) -> None:
    job = write()
    parquill("run", job)
    done = parquill("run", job, "--json")
    assert (done.exit_code, json.loads(done.stdout)["requests"]) == (0, 0)
    assert json.loads(done.stdout)["rows"]["kept"] == 3
    assert parquill("run", job).stdout == "", "what is said to people goes to standard error"


def test_failed_rows_exit_3_and_verify_still_holds(write: Write) -> None:
    job = write({"id": [1, 2], "text": ["one", None]})
    assert parquill("run", job).exit_code == 3
    done = parquill("verify", job, "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["holds"] is True
    assert said["rows"] == {"total": 2, "ok": 1, "failed": 1, "not_attempted": 0}
    assert any("to the last digit" in note for note in said["notes"])


def test_limit_0_asks_nothing_and_every_row_stands(write: Write) -> None:
    done = parquill("run", write(), "--json", "--limit", 0)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["rows"]["not_attempted"] == 3


def test_a_budget_stop_exits_4(write: Write) -> None:
    done = parquill("run", write(budget={"usd": "0.000002"}), "--json", "--set", "limits.max_in_flight=1")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["stopped_by"] == "budget"


def test_an_endpoint_that_refuses_the_run_exits_5(write: Write) -> None:
    done = parquill("run", write(model={"name": "no/such"}), "--json")
    assert done.exit_code == 5
    assert json.loads(done.stdout)["rows"]["not_attempted"] == 3


def bad_inputs() -> Iterator[Any]:
    """What is refused, and the words that must be in the message."""
    two = {"id": [1, 2], "text": ["a", "b"]}
    many = {"id": [7] * 30, "text": ["x"] * 30}
    yield pytest.param(two, {"manifest": {"id_column": "key"}}, ["key", "id_column"], id="missing id column")
    yield pytest.param(two, {"prompt": {"user_column": "txt"}}, ["'txt'", "'text'"], id="missing prompt column")
    yield pytest.param(
        two, {"prompt": {"user_column": None, "user": "{{ titel }}"}}, ["titel"], id="missing template column"
    )
    yield pytest.param(
        two, {"manifest": {"image_columns": ["pic"]}}, ["pic", "image_columns"], id="missing picture column"
    )
    yield pytest.param(
        two, {"manifest": {"image_columns": ["id"]}}, ["id", "image_columns"], id="picture column of numbers"
    )
    yield pytest.param(
        two, {"manifest": {"keep_columns": ["nope"]}}, ["nope", "keep_columns"], id="missing kept column"
    )
    yield pytest.param(
        {"id": [1, None, 3, None], "text": ["a"] * 4}, {}, ["null", "id", "row 1", "row 3", "m.parquet"], id="null id"
    )
    yield pytest.param(
        {"id": [1, 2, 1], "text": ["a"] * 3}, {}, ["repeats", "1", "row 0", "row 2", "m.parquet"], id="repeated id"
    )
    yield pytest.param(many, {}, ["repeats", "7", "row 0", "row 1"], id="an id repeated often")
    yield pytest.param({**two, "status": ["x", "y"]}, {}, ["status"], id="kept column named like one of ours")
    yield pytest.param(
        {"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())}, {}, ["rows"], id="empty manifest"
    )
    yield pytest.param(b"not Parquet at all", {}, ["m.parquet"], id="unreadable manifest")
    yield pytest.param(
        two, {"manifest": {"path": "/no/such/file.parquet"}}, ["/no/such/file.parquet"], id="no manifest"
    )
    yield pytest.param(two, {"output": {"schema": "/no/schema.json"}}, ["/no/schema.json"], id="no schema")
    yield pytest.param(
        two, {"output": {"reuse_from": ["/no/output"]}}, ["/no/output", "reuse_from"], id="no other output"
    )
    yield pytest.param(two, {"limits": {"requests_per_minute": 0}}, ["limits.requests_per_minute"], id="zero limit")
    yield pytest.param(two, {"limits": {"max_in_flight": -1}}, ["limits.max_in_flight"], id="negative limit")
    yield pytest.param(two, {"budget": {"usd": "-1"}}, ["budget.usd"], id="negative budget")
    yield pytest.param(two, {"promt": {}}, ["promt", "prompt"], id="unknown section")
    yield pytest.param(
        two, {"prompt": {"user_column": "text", "user": "x"}}, ["prompt", "exactly one"], id="two prompts"
    )


@pytest.mark.parametrize(("table", "sections", "said"), list(bad_inputs()))
def test_a_bad_input_is_refused_with_what_and_where(
    table: Any, sections: dict[str, Any], said: list[str], write: Write, tmp_path: Path
) -> None:
    done = parquill("run", write(table, **sections), "--json")
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    for word in said:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*")), "nothing is written to the output"
    log = tmp_path / "out.parquill" / "emulator.jsonl"
    assert not log.exists() or not log.read_bytes(), "nothing is sent"


def test_a_job_file_that_is_missing_or_broken_is_refused(tmp_path: Path) -> None:
    assert parquill("run", tmp_path / "none.yaml").exit_code == 2
    (tmp_path / "broken.yaml").write_text("name: [")
    assert parquill("run", tmp_path / "broken.yaml").exit_code == 2


def test_wrong_usage_exits_2(write: Write) -> None:
    job = write()
    assert parquill("run").exit_code == 2
    assert parquill("run", job, "--nope").exit_code == 2
    assert parquill("run", job, "--limit", -1).exit_code == 2
    assert parquill("run", job, "--retry", "nonsense").exit_code == 2
    assert parquill("run", job, "--set", "nonsense").exit_code == 2
    assert parquill("run", job, "--progress", "loud").exit_code == 2
    assert parquill("emulator", "--profile", "nope").exit_code == 2


def test_help_names_every_command_in_a_line_and_version_says_which_this_is() -> None:
    listed = parquill("--help")
    versioned = parquill("--version")

    assert (listed.exit_code, versioned.exit_code) == (0, 0)
    assert [line for line in listed.stdout.splitlines() if line.startswith("  ") and line.endswith("...")] == []
    assert versioned.stdout == f"parquill {version('parquill')}\n"


def test_an_openrouter_job_without_a_key_is_refused_by_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    done = parquill("run", write(model={"endpoint": "openrouter"}))
    assert done.exit_code == 2
    assert "OPENROUTER_API_KEY" in done.stderr and "emulator" in done.stderr


def test_an_output_of_another_job_and_a_foreign_file_are_refused(write: Write, tmp_path: Path) -> None:
    job = write()
    parquill("run", job)
    done = parquill("run", write(name="another"))
    assert done.exit_code == 2 and "'small'" in done.stderr and "'another'" in done.stderr
    pq.write_table(pa.table({"x": [1]}), tmp_path / "out" / "mine.parquet")
    done = parquill("run", write())
    assert done.exit_code == 2 and "mine.parquet" in done.stderr


def test_a_manifest_that_shrank_is_refused_unless_that_is_meant(write: Write) -> None:
    parquill("run", write({"id": list(range(10)), "text": [f"t{number}" for number in range(10)]}))
    small = {"id": [1, 2], "text": ["t1", "t2"]}
    done = parquill("run", write(small))
    assert done.exit_code == 2 and "--allow-shrink" in done.stderr
    done = parquill("run", write(small), "--allow-shrink", "--json")
    assert (done.exit_code, json.loads(done.stdout)["requests"]) == (0, 0)
    assert parquill("verify", write(small)).exit_code == 0
