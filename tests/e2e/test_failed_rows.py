"""Rows that failed for good are told apart from rows that were kept, and are not asked for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parquill.clock import SystemClock
from parquill.emulator import Misbehaviour
from parquill.errors import ErrorKind
from parquill.estimation import Rows, estimate_job
from parquill.planning import RunOptions, preview_run
from tests.e2e.dying import die_at_step
from tests.e2e.kit import Rehearsal, rehearsal, rows, words
from tests.web import Web, reply, web_server

ONE_TRY = {"limits": {"max_in_flight": 1}, "retry": {"max_attempts": 1}, "output": {"max_reasks": 0}}
BAD = Misbehaviour.NULL_CONTENT
RETRY_BAD = RunOptions(retry=frozenset({ErrorKind.BAD_RESPONSE}))


async def fails_in(run: Rehearsal, runs: int, *, count: int = 1) -> None:
    """Have the first rows of a manifest fail in so many runs."""
    for _ in range(runs):
        run.emulator.plan(*[BAD] * count)
        summary = await run.run()
        assert summary.rows.failed == count


async def test_a_row_that_failed_alike_in_three_runs_is_asked_again_only_with_retry(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=ONE_TRY) as run:
        run.write(rows(4))
        await fails_in(run, 3)
        assert run.asked == 6
        before = {name: info.part_id for name, info in run.parts().items()}
        for _ in range(2):
            summary = await run.run()
            assert (summary.requests, run.asked, summary.exit_status) == (0, 6, 3)
            assert (summary.rows.kept, summary.rows.failed_before, summary.rows.failed) == (3, 1, 1)
            assert summary.left_by_kind == {"bad_response": 1}
        assert before == {name: info.part_id for name, info in run.parts().items()}, "the part stands as it is"
        (message,) = filter(None, run.column("error_message"))
        assert message.endswith(
            "(failed alike in 3 runs: it is not asked again on its own, --retry bad_response asks it)"
        )
        summary = await run.run(RETRY_BAD)
        assert (summary.requests, summary.rows.ok, summary.left_by_kind) == (1, 4, {})
        await run.must_hold()


async def test_a_row_that_fails_again_on_retry_waits_for_the_next_retry(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=ONE_TRY) as run:
        run.write(rows(2))
        await fails_in(run, 3)
        run.emulator.plan(BAD)
        summary = await run.run(RETRY_BAD)
        assert (summary.requests, summary.rows.failed_before, summary.left_by_kind) == (1, 0, {"bad_response": 1})
        assert "failed alike in 4 runs" in next(filter(None, run.column("error_message")))
        assert (await run.run()).requests == 0
        assert (await run.run(retry={"max_attempts": 1, "max_runs": 5})).rows.ok == 2, "more runs are allowed now"


async def test_another_fault_or_another_prompt_begins_the_count_anew(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=ONE_TRY) as run:
        run.write(rows(2))
        await fails_in(run, 2)
        run.write(rows(3))
        run.emulator.plan(Misbehaviour.MODERATED)
        assert (await run.run()).errors_by_kind == {"moderated": 1}
        run.emulator.plan(BAD)
        assert (await run.run(RunOptions(retry=frozenset({ErrorKind.MODERATED})))).errors_by_kind == {"bad_response": 1}
        await fails_in(run, 1)
        run.emulator.plan(BAD)
        assert (await run.run()).requests == 1, "it failed alike in two runs only"
        assert (await run.run()).requests == 0
        run.write({"id": ["r0", "r1", "r2"], "text": ["another text", words(1), words(2)]})
        assert (await run.run()).rows.ok == 3


async def test_a_row_keeps_its_count_wherever_it_stands_in_the_manifest(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={**ONE_TRY, "output": {"rows_per_part": 2, "max_reasks": 0}}) as run:
        run.write(rows(4, first=10))
        await fails_in(run, 3)
        old, new = rows(4, first=10), rows(3)
        run.write({name: [*new[name], *old[name]] for name in old})
        assert (await estimate_job(run.job())).rows == Rows(todo=3, kept=3, failing=1)
        summary = await run.run()
        assert (summary.requests, summary.rows.ok, summary.rows.failed_before) == (3, 6, 1)
        assert summary.left_by_kind == {"bad_response": 1}
        assert run.column("error_kind")[3] == "bad_response"
        assert "failed alike in 3 runs: " in run.column("error_message")[3]
        assert (await run.run()).requests == 0
        await run.must_hold()


async def test_duplicates_of_a_failing_row_count_as_one_request(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={**ONE_TRY, "output": {"rows_per_part": 1, "max_reasks": 0}}) as run:
        run.write({"id": ["a", "b", "c"], "text": ["one", "two", "one"]})
        for asked in (2, 3, 4):
            run.emulator.plan(BAD)
            assert (await run.run()).rows.failed == 2
            assert run.asked == asked
        summary = await run.run()
        assert (summary.requests, summary.rows.failed_before, summary.left_by_kind) == (0, 2, {"bad_response": 2})


async def test_an_estimate_counts_answers_as_kept_and_failed_rows_as_failing(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={**ONE_TRY, "output": {"rows_per_part": 2, "max_reasks": 0}}) as run:
        run.write(rows(6))
        await fails_in(run, 3)
        run.write(rows(8))
        found = await estimate_job(run.job())
        assert (found.rows, found.failing_by_kind) == (Rows(todo=2, kept=5, failing=1), {"bad_response": 1})
        states = pq.read_table(tmp_path / "out.parquill" / "estimate.parquet", columns=["id", "state"]).to_pylist()
        assert {one["id"] for one in states if one["state"] == "failing"} == {"r0"}
        await run.run()
        run.write(rows(9))  # the slice of the failed row stands, that of the last rows does not
        assert (await estimate_job(run.job())).rows == Rows(todo=1, kept=7, failing=1)


async def test_an_output_without_counts_begins_with_one(tmp_path: Path) -> None:
    """As an earlier version left it: the ledger has no table of failures."""
    async with rehearsal(tmp_path, sections=ONE_TRY) as run:
        run.write(rows(3))
        await fails_in(run, 2)
        ledger = sqlite3.connect(tmp_path / "out.parquill" / "ledger.sqlite")
        ledger.execute("DROP TABLE failures")
        ledger.execute("PRAGMA user_version = 2")
        ledger.close()
        assert (await estimate_job(run.job())).rows == Rows(todo=1, kept=2)
        assert (await run.run(retry={"max_attempts": 1, "max_runs": 1})).requests == 0
        await fails_in(run, 3)
        assert (await run.run()).requests == 0
        await run.must_hold()


async def test_the_command_says_what_was_kept_and_how_failed_rows_are_asked_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=ONE_TRY) as run:
        run.write({"id": [1, 2, 3, 4], "text": ["a", "b", None, "d"]})
        for _ in range(3):
            run.emulator.plan(BAD)
            await run.run()
        told = await run.command("run", "--json")
        assert told.json["rows"] == {"total": 4, "ok": 2, "failed": 2, "not_attempted": 0, "kept": 2, "reused": 0}
        said = " ".join((await run.command("run")).err.split())
        assert "2 kept from earlier runs" in said
        assert "all in earlier runs, not asked again" in said
        assert "Failed alike in retry.max_runs runs: only --retry bad_response asks again." in said
        assert "add --retry bad_response,bad_row" in said


async def test_a_picture_that_is_gone_is_looked_for_in_three_runs(tmp_path: Path) -> None:
    async with web_server() as web:
        await _asked_for_in_three_runs(web, tmp_path)


async def _asked_for_in_three_runs(web: Web, folder: Path) -> None:
    web.answers["/gone.jpg"] = reply(404, b"no such picture")
    sections: dict[str, Any] = {
        "manifest": {"image_columns": ["picture"]},
        "images": {"send": "inline", "allow_private": ["127.0.0.2/32"], "allow_ports": [web.port]},
        "model": {"endpoint": "emulator"},
    }
    async with rehearsal(folder, sections=sections) as run:
        run.write({"id": [1, 2], "text": ["a", "b"], "picture": [web.url("/gone.jpg"), None]})
        for looks in (1, 2, 3, 3, 3):
            summary = await run.run()
            assert summary.errors_by_kind == {"image_unreachable": 1}
            assert web.paths().count("/gone.jpg") == looks
        assert preview_run(run.job(), SystemClock()).open_rows == 0, "what a flow's plan says"
        await run.run(RunOptions(retry=frozenset({ErrorKind.IMAGE_UNREACHABLE})))
        assert web.paths().count("/gone.jpg") == 4


async def test_a_process_that_dies_over_a_part_counts_no_run_twice(tmp_path: Path) -> None:
    for step in range(2, 14, 2):
        folder = tmp_path / str(step)
        async with rehearsal(folder, sections=ONE_TRY) as run:
            run.write(rows(2))
            await fails_in(run, 1)
            run.emulator.plan(BAD)
            await die_at_step(run.job_file(), step, after=True)
            run.emulator.plan(*[BAD] * 4)
            await run.run()
            ledger = sqlite3.connect(folder / "out.parquill" / "ledger.sqlite")
            ((runs,),) = ledger.execute("SELECT max(runs) FROM failures").fetchall()
            ledger.close()
            assert 2 <= runs <= 3, step
            await run.must_hold()


NIGHT = st.tuples(st.permutations(range(5)), st.lists(st.sampled_from([None, BAD])))


async def _live_through(folder: Path, nights: list[tuple[list[int], list[Misbehaviour | None]]]) -> None:
    """Hold runs against a count by hand: by text, in how many runs it failed."""
    counts: dict[int, int] = {}
    answered: set[int] = set()
    async with rehearsal(folder, sections={**ONE_TRY, "output": {"rows_per_part": 2, "max_reasks": 0}}) as run:
        for order, faults in nights:
            run.write({"id": order, "text": [words(number) for number in order]})
            todo = [one for one in order if one not in answered and counts.get(one, 0) < 3]
            planned = [faults[place] if place < len(faults) else None for place in range(len(todo))]
            run.emulator.plan(*planned)
            before = run.asked
            summary = await run.run()
            assert run.asked - before == len(todo)
            for number, fault in zip(todo, planned, strict=True):
                if fault is None:
                    answered.add(number)
                else:
                    counts[number] = counts.get(number, 0) + 1
            assert run.column("status") == ["ok" if one in answered else "failed" for one in order]
            left = sum(counts[one] >= 3 for one in order if one not in answered)
            assert sum(summary.left_by_kind.values()) == left
            assert summary.rows.failed_before == sum(one not in answered and one not in todo for one in order)
        await run.must_hold()


@pytest.mark.timeout(600)
def test_any_sequence_of_nights_asks_each_failing_row_in_three_runs_at_most(kills: int) -> None:
    @settings(max_examples=max(10, 2 * kills), suppress_health_check=list(HealthCheck), derandomize=kills <= 5)
    @given(st.lists(NIGHT, min_size=3, max_size=7))
    def through(nights: list[tuple[list[int], list[Misbehaviour | None]]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_live_through(Path(folder), nights))

    through()
