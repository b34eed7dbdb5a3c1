"""`--retry ok`: answered rows are asked again, with consent; what they had stays paid and in the archive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parquill.errors import ErrorKind, ReplaceNeededError, UsageError
from parquill.estimation import EstimateOptions, estimate_job
from parquill.job import parse_retry
from parquill.planning import RunOptions
from tests.e2e.kit import Rehearsal, rehearsal, rows

ROWS = 7
AGAIN = RunOptions(again=True, replace=True)


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    """A finished run of seven rows, in slices of three."""
    async with rehearsal(tmp_path, sections={"output": {"path": str(tmp_path / "out"), "rows_per_part": 3}}) as work:
        work.write(rows(ROWS))
        await work.run()
        yield work


async def _balanced(work: Rehearsal) -> None:
    """Every cent of the other side's bill stands in the books, and nothing is left to ask."""
    await work.must_hold()
    books = await work.books()
    assert books.runs_pico == work.bill().billed_pico
    asked = work.asked
    summary = await work.run()
    assert (summary.requests, work.asked, summary.rows.ok) == (0, asked, ROWS)


async def test_without_consent_nothing_is_sent_and_nothing_moves(work: Rehearsal) -> None:
    before = work.table()
    with pytest.raises(ReplaceNeededError, match=r"(?s)--retry ok: 7 answers leave the table.*--replace") as fault:
        await work.run(RunOptions(again=True))
    assert fault.value.may_be_asked
    with pytest.raises(ReplaceNeededError, match="on_change is refuse"):
        await work.run(AGAIN, output={"on_change": "refuse"})
    assert (work.asked, work.table().equals(before)) == (ROWS, True)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (AGAIN, range(ROWS)),
        (RunOptions(again=True, replace=True, limit=4), range(4)),
        (RunOptions(again=True, replace=True, select=frozenset({1, 6})), (1, 6)),
    ],
    ids=["all", "limit", "chosen"],
)
async def test_the_chosen_rows_are_asked_again_and_no_other(
    work: Rehearsal, options: RunOptions, asked: tuple[int, ...]
) -> None:
    before = work.column("generation_id")
    summary = await work.run(options)
    assert (summary.exit_status, summary.requests, summary.rows.ok) == (0, len(asked), ROWS)
    after = work.column("generation_id")
    assert [row for row in range(ROWS) if before[row] != after[row]] == list(asked)
    assert any("without `--retry ok` goes on" in notice for notice in summary.notices)
    await _balanced(work)


async def test_it_is_asked_anew_each_time_and_older_answers_do_not_come_back(work: Rehearsal) -> None:
    seen = set(work.column("generation_id"))
    await work.run(prompt={"system": "Be brief."}, options=RunOptions(replace=True))
    await work.run(RunOptions(replace=True))  # the first answers, from the archive
    assert set(work.column("generation_id")) == seen
    for _ in range(2):
        await work.run(RunOptions(again=True, replace=True, limit=2))
        first = work.column("generation_id")[:2]
        assert not seen & set(first)
        seen |= set(first)
    await _balanced(work)


async def test_a_run_that_stopped_goes_on_with_the_command_without_it(work: Rehearsal) -> None:
    stopped = await work.run(RunOptions(again=True, replace=True, limit=4, deadline=1.0))
    assert (stopped.requests, stopped.rows.ok) == (0, ROWS - 4)
    assert work.column("status").count("not_attempted") == 4
    await work.must_hold()
    assert (await work.run()).requests == 4
    await _balanced(work)


async def test_the_estimate_counts_them(work: Rehearsal) -> None:
    assert (await estimate_job(work.job())).rows.todo == 0
    found = await estimate_job(work.job(), EstimateOptions(again=True, limit=4))
    assert (found.rows.todo, found.rows.kept) == (4, ROWS - 4)
    assert work.asked == ROWS


async def test_what_would_give_the_same_answers_back_is_refused(work: Rehearsal, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reuse_from"):
        await work.run(AGAIN, output={"reuse_from": [str(tmp_path / "other")]})
    with pytest.raises(UsageError, match="--sample"):
        RunOptions(again=True, sample=3)


def test_the_option_names_it_beside_error_kinds() -> None:
    assert parse_retry("ok, truncated") == {"retry": {ErrorKind.TRUNCATED}, "again": True}
    assert parse_retry("truncated") == {"retry": {ErrorKind.TRUNCATED}, "again": False}
