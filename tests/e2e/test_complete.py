"""One output row for each manifest row, in its order, whatever the other side does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parquill.emulator import Misbehaviour, Spread
from parquill.errors import ErrorKind
from parquill.planning import RunOptions
from tests.e2e.kit import Rehearsal, rehearsal, rows
from tests.lanes import is_thorough

PATIENCE: dict[str, Any] = {
    "retry": {"deadline_seconds": 6},
    "limits": {"max_in_flight": 48, "requests_per_minute": 1_000_000},
    "output": {"rows_per_part": 300},
}
KINDS = {kind.value for kind in ErrorKind}


def judge(run: Rehearsal, manifest: dict[str, list[str]]) -> None:
    """Each manifest row stands once, in its place, answered or with its error."""
    table = run.table()
    for name, values in manifest.items():
        assert table.column(name).to_pylist() == values
    for row in table.select(["status", "error_kind", "answer", "fingerprint", "cost_usd"]).to_pylist():
        assert row["fingerprint"] and len(row["fingerprint"]) == 32
        if row["status"] == "ok":
            assert row["answer"] is not None and row["error_kind"] is None
        else:
            assert row["status"] == "failed" and row["error_kind"] in KINDS and row["answer"] is None


@pytest.mark.parametrize(
    ("profile", "count", "changes"),
    [
        ("calm", 500, {}),
        ("busy", 200, {"latency": Spread(0.03, 0.5)}),
        ("stormy", 60, {"latency": Spread(0.03, 0.5), "stall_seconds": 0.5}),
        ("broken", 60, {"stall_seconds": 0.3, "drip_seconds": 0.2}),
        pytest.param("broken", 2000, {"stall_seconds": 0.5, "drip_seconds": 0.2}, marks=pytest.mark.chaos),
    ],
)
async def test_every_row_ends_with_an_answer_or_its_error(
    profile: str, count: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    async with rehearsal(tmp_path, profile=profile, seed=7, sections=PATIENCE, **changes) as run:
        manifest = rows(count)
        run.write(manifest)
        summary = await run.run()
        assert summary.rows.ok + summary.rows.failed == count == summary.rows.total
        assert summary.exit_status == (3 if summary.rows.failed else 0)
        judge(run, manifest)
        await run.must_hold()
        books = await run.books()
        assert books.balanced
        assert books.runs_pico >= run.bill().billed_pico


async def test_files_slices_and_duplicates_keep_the_manifests_order(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 7}}) as run:
        names = ["b", "a/z", "a", "C", "ä"]
        for at, name in enumerate(names):
            columns = rows(20, first=100 * at)
            columns["text"][3] = columns["text"][4] = "the same in every file"
            run.write(columns, f"nights/{name}.parquet")
        job = {"manifest": {"path": str(tmp_path / "nights")}}
        summary = await run.run(**job)
        assert (summary.rows.ok, summary.rows.reused, run.asked) == (100, 9, 91)
        verification = await run.must_hold(**job)
        assert verification.rows["total"] == 100
        sources = run.column("cost_source")
        assert sources.count("reused") == 9
        assert len(set(run.column("answer_text")[3:5])) == 1


async def test_duplicates_of_a_row_that_fails_share_its_error_and_are_asked_again_together(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write({"id": [1, 2, 3], "text": ["alike"] * 3})
        run.emulator.plan(Misbehaviour.NULL_CONTENT)
        first = await run.run(retry={"max_attempts": 1}, output={"max_reasks": 0})
        assert (first.rows.failed, first.requests) == (3, 1)
        assert set(run.column("error_kind")) == {"bad_response"}
        again = await run.run()
        assert (again.rows.ok, again.requests) == (3, 1)
        await run.must_hold()


async def test_a_run_again_sends_nothing_and_changes_no_byte(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 30}}) as run:
        run.write(rows(100))
        await run.run()
        before = {name: info.part_id for name, info in run.parts().items()}
        again = await run.run()
        assert (again.requests, again.rows.kept, again.exit_status) == (0, 100, 0)
        assert {name: info.part_id for name, info in run.parts().items()} == before


async def test_one_more_row_costs_one_request(tmp_path: Path) -> None:
    count = 5000 if is_thorough() else 1000
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 2 * count // 5}}) as run:
        run.write(rows(count))
        await run.run()
        columns = rows(count + 1)
        for values in columns.values():
            values.insert(0, values.pop())
        run.write(columns)
        again = await run.run()
        assert (again.requests, again.rows.ok, run.asked) == (1, count + 1, count + 1)
        assert run.column("id") == columns["id"]
        await run.must_hold()


async def test_a_row_that_is_edited_and_edited_back_is_paid_once(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        columns = rows(20)
        run.write(columns)
        await run.run()
        first = run.column("answer")
        run.write({**columns, "text": ["quite another", *columns["text"][1:]]})
        assert (await run.run()).requests == 1
        await run.must_hold()
        run.write(columns)
        assert (await run.run()).requests == 0
        assert run.column("answer") == first
        assert set(run.column("cost_source")) == {"endpoint"}, "an answer from the archive brings its cost back"
        await run.must_hold()


async def test_a_limit_asks_the_first_rows_and_the_next_run_the_others(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"output": {"rows_per_part": 8}}) as run:
        run.write(rows(30))
        first = await run.run(RunOptions(limit=11))
        assert (first.rows.ok, first.rows.not_attempted, first.requests, first.exit_status) == (11, 19, 11, 0)
        assert run.column("status") == ["ok"] * 11 + ["not_attempted"] * 19
        await run.must_hold()
        assert (await run.run()).requests == 19
        await run.must_hold()


async def test_a_manifest_without_ids_is_joined_by_position(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"id_column": None}, "output": {"rows_per_part": 4}}) as run:
        run.write({"text": rows(10)["text"]})
        await run.run()
        assert run.column("row") == list(range(10))
        await run.must_hold()


async def test_another_key_column_keeps_the_answers(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write({**rows(10), "number": list(range(10))})
        await run.run()
        again = await run.run(manifest={"id_column": "number"})
        assert (again.requests, again.rows.ok) == (0, 10)
        await run.must_hold(manifest={"id_column": "number"})


async def test_a_row_with_spent_attempts_keeps_them_when_a_duplicate_answers_it(tmp_path: Path) -> None:
    """Its first attempt was paid for: with the duplicate's answer it must stay in the accounts."""
    async with rehearsal(tmp_path) as run:
        run.write({"id": [2], "text": ["alike"]})
        run.emulator.plan(Misbehaviour.NULL_CONTENT)
        assert (await run.run(retry={"max_attempts": 1}, output={"max_reasks": 0})).rows.failed == 1
        (spent,) = run.column("cost_usd")
        run.write({"id": [1, 2], "text": ["alike", "alike"]})
        again = await run.run()
        assert (again.requests, again.rows.ok, spent > 0) == (1, 2, True)
        assert (run.column("cost_usd")[1], run.column("attempts")) == (spent, [1, 1])
        await run.must_hold()
        assert (await run.books()).balanced


@pytest.mark.parametrize("keep", ["all", ["id"], []])
async def test_kept_columns_are_copied_as_they_are(keep: Any, tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        kinds = {
            "id": pa.array([1, 2], pa.int32()),
            "text": ["a", "b"],
            "list": pa.array([[1], None], pa.list_(pa.int8())),
            "when": pa.array([0, None], pa.timestamp("ms", "Europe/Vienna")),
            "label": pa.array(["x", None]).dictionary_encode(),
        }
        run.write(pa.table(kinds))
        await run.run(manifest={"keep_columns": keep})
        await run.must_hold(manifest={"keep_columns": keep})
        table = run.table()
        for name in kinds if keep == "all" else ["id"]:
            assert table.column(name).to_pylist() == pa.table(kinds).column(name).to_pylist()
        assert ("text" in table.column_names) is (keep == "all")
