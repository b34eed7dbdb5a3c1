"""The ledger seen by who only looks, and its sums beside each other: neighbours' rows never count."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parquill.ledger import GROUP_SECONDS, QUARTER_US, EvidenceCount, FailureRecord, Ledger, ReadOnlyLedger
from parquill.ledger.schema import ROW_BITS
from tests.clock import ManualClock
from tests.test_ledger_accounting import NOON, PART, LedgerSetup, entry, fingerprint, ledger_setup

LAST_ROW = (1 << ROW_BITS) - 1


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[LedgerSetup]:
    async with ledger_setup(tmp_path) as setup:
        yield setup


async def neighbours(setup: LedgerSetup) -> None:
    """Three slices, of which the middle one is looked at; its neighbours' rows lie at its edges."""
    before = setup.slice
    await setup.settle(setup.intend(LAST_ROW), 1)
    await setup.answer(LAST_ROW - 1, 2)
    setup.slice = middle = await setup.ledger.slice("b.000000.parquet", "digest")
    await setup.answer(0, 3)
    await setup.answer(5, 4, ok=False)
    await setup.answer(LAST_ROW, 5)
    await setup.settle(setup.intend(1), 6)
    await setup.settle(setup.intend(1, 2), 7)
    await setup.settle(setup.intend(LAST_ROW - 1), 8)
    setup.slice = await setup.ledger.slice("c.000000.parquet", "digest")
    assert (before.id, middle.id, setup.slice.id) == (1, 2, 3)
    await setup.settle(setup.intend(0), 9)
    await setup.answer(1, 10)
    setup.slice = middle


def marks(*rows: int) -> list[bytes]:
    return [fingerprint(str(row)) for row in rows]


async def test_who_looks_sees_what_the_ledger_holds_of_a_slice_and_of_no_other(setup: LedgerSetup) -> None:
    await neighbours(setup)
    with ReadOnlyLedger.at(setup.path) as recorded:
        assert recorded is not None
        assert [one.name for one in recorded.slices()] == [PART, "b.000000.parquet", "c.000000.parquet"]
        assert recorded.slices() == await setup.ledger.slices()
        assert recorded.attempted(2) == {1, LAST_ROW - 1}
        assert recorded.answers(2, "real") == marks(0, LAST_ROW)
        assert recorded.answers(2, "emulator") == []
        answered = {0: marks(0)[0], 5: None, LAST_ROW: marks(LAST_ROW)[0]}
        assert recorded.answered(2) == answered == await setup.ledger.answered(2)
        assert recorded.totals() == await setup.ledger.totals(setup.run)
        assert (recorded.totals().requests, recorded.totals().pico) == (10, 55)
        assert [(one.quarter, one.spent.pico) for one in recorded.spent()] == [(NOON // QUARTER_US, 55)]


async def test_no_file_is_nothing_to_see(tmp_path: Path) -> None:
    with ReadOnlyLedger.at(tmp_path / "none.sqlite") as recorded:
        assert recorded is None


async def test_who_looks_finds_archived_answers_of_a_realm(setup: LedgerSetup) -> None:
    with ReadOnlyLedger.at(setup.path) as recorded:
        assert recorded is not None
        assert not recorded.archive_holds("real")
        await setup.ledger.lift("part", [(0, entry("a", 3)), (1, entry("b", 4, ok=False))])
        assert recorded.archive_holds("real") is True
        assert recorded.archive_holds("emulator") is False
        assert recorded.archived(fingerprint("a"), "real") is True
        assert recorded.archived(fingerprint("a"), "emulator") is False
        assert recorded.archived(fingerprint("b"), "real") is False, "a failure is no answer"


async def test_rows_that_were_lifted_are_known_by_their_number_in_the_part(setup: LedgerSetup) -> None:
    rows = [0, 1, 7, 8, 9, 63, 64, 1000]
    moved = await setup.ledger.lift("part", [(row, entry(str(row), row)) for row in rows])
    assert moved == sum(rows)
    assert await setup.ledger.lifted_rows("part") == rows
    assert await setup.ledger.lift("part", [(row, entry(str(row), row)) for row in [*rows, 2]]) == 2
    assert await setup.ledger.lifted_rows("part") == sorted([*rows, 2])
    assert await setup.ledger.lifted_rows("other") == []


async def test_what_was_lifted_from_parts_that_are_gone_takes_nothing_from_those_that_stand(setup: LedgerSetup) -> None:
    await setup.ledger.lift("gone", [(0, entry("a", 3))])
    await setup.ledger.lift("stands", [(0, entry("b", 4))])
    books = await setup.ledger.books({PART: ("stands", 10), "b.000000.parquet": ("new", 5)})
    assert (books.parts_pico, books.archive_pico) == (15 - 4, 7)


@pytest.mark.parametrize("difference", [7, -7])
async def test_a_difference_of_the_books_is_booked_where_it_is_missing(setup: LedgerSetup, difference: int) -> None:
    await setup.answer(0, 20)
    parts = {"b.000000.parquet": ("p", 7)} if difference > 0 else {}
    if difference < 0:
        await setup.ledger.square(7)
    assert (await setup.ledger.books(parts)).difference_pico == difference
    before = await setup.ledger.runs()
    await setup.ledger.square(difference)
    assert (await setup.ledger.books(parts)).balanced
    assert (await setup.ledger.totals(setup.run)).pico == 20, "the run itself spent what it spent"
    runs = await setup.ledger.runs()
    assert len(runs) - len(before) == (1 if difference > 0 else 0)
    current = await setup.ledger.current_run()
    assert current is not None
    assert current.id == setup.run


def failed(text: str, runs: int, kind: str = "invalid_answer") -> FailureRecord:
    return FailureRecord(fingerprint(text), kind, runs, NOON, "no")


async def publish(setup: LedgerSetup, *counted: FailureRecord, realm: str = "real") -> None:
    await setup.ledger.begin_publish(setup.slice.id, "part", None)
    await setup.ledger.finish_publish(setup.slice.id, counted, realm)
    setup.slice = await setup.ledger.slice(PART, "digest")


async def test_requests_that_failed_alike_are_counted_by_realm_until_they_are_answered(setup: LedgerSetup) -> None:
    every = [fingerprint(one) for one in "abc"]
    assert not await setup.ledger.some_failed("real", 1)
    await publish(setup, failed("a", 1), failed("b", 2))
    await publish(setup, failed("a", 3), realm="emulator")
    assert await setup.ledger.failures(every, "real") == {
        fingerprint("a"): failed("a", 1),
        fingerprint("b"): failed("b", 2),
    }
    assert await setup.ledger.failures(every, "real", 2) == {fingerprint("b"): failed("b", 2)}
    assert await setup.ledger.failures(every, "real", 3) == {}
    assert (await setup.ledger.some_failed("real", 2), await setup.ledger.some_failed("real", 3)) == (True, False)
    with ReadOnlyLedger.at(setup.path) as recorded:
        assert recorded is not None
        assert recorded.failures(every, "emulator", 3) == {fingerprint("a"): failed("a", 3)}
    await publish(setup, failed("b", 3))
    assert await setup.ledger.failures(every, "real", 3) == {fingerprint("b"): failed("b", 3)}
    await setup.answer(0, 1, print_="b")
    await setup.answer(1, 1, print_="a", ok=False)
    await publish(setup)
    assert await setup.ledger.failures(every, "real") == {fingerprint("a"): failed("a", 1)}
    assert await setup.ledger.failures(every, "emulator") == {fingerprint("a"): failed("a", 3)}


async def test_a_slice_that_is_not_being_published_is_not_let_go_of(setup: LedgerSetup) -> None:
    await setup.answer(0, 1)
    for slice_id in (setup.slice.id, 99):
        with pytest.raises(ValueError, match="is not being published"):
            await setup.ledger.finish_publish(slice_id)
        if slice_id == 99:
            with pytest.raises(ValueError, match="is not open"):
                await setup.ledger.begin_publish(slice_id, "part", None)
    assert await setup.ledger.open_rows(setup.slice.id) == {0: b"answer 0"}


async def test_what_processes_noted_of_their_tables_is_kept_by_process(setup: LedgerSetup) -> None:
    assert await setup.ledger.evidence() == []
    await setup.ledger.note_evidence(EvidenceCount("2", 5, 1, ended=False))
    await setup.ledger.note_evidence(EvidenceCount("1", None, 0, ended=True))
    await setup.ledger.note_evidence(EvidenceCount("2", 9, 2, ended=True))
    wanted = [EvidenceCount("1", None, 0, ended=True), EvidenceCount("2", 9, 2, ended=True)]
    assert await setup.ledger.evidence() == wanted
    with ReadOnlyLedger.at(setup.path) as recorded:
        assert recorded is not None
        assert recorded.evidence() == wanted


async def test_requests_of_one_quarter_hour_are_counted_one_by_one(setup: LedgerSetup) -> None:
    for row in range(5):
        await setup.answer(row, 1)
    attempts = [setup.intend(row) for row in range(5, 12)]
    for attempt in attempts:
        setup.ledger.settle(
            attempt, cost_pico=2, cost_source="endpoint", prompt_tokens=3, completion_tokens=4, cached_tokens=0,
            error_kind=None,
        )  # fmt: skip
    spent = await setup.ledger.totals(setup.run)
    assert (spent.requests, spent.pico, spent.tokens) == (12, 5 + 14, 7 * 7)
    assert (spent.prompt_tokens, spent.completion_tokens) == (21, 28)


async def test_the_ledger_of_a_folder_that_is_its_owners_alone_is_so_too(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    setup = LedgerSetup(folder / "ledger.sqlite")
    await setup.begin()
    modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    setup.ledger.close()
    assert all(mode & 0o077 == 0 for mode in modes)
    assert setup.ledger.path == setup.path


async def test_a_group_that_was_sent_early_takes_nothing_from_the_time_of_the_next(tmp_path: Path) -> None:
    clock = ManualClock()
    setup = LedgerSetup(tmp_path / "ledger.sqlite")
    setup.ledger.close()
    setup.ledger = Ledger.open(setup.path, job="job", clock=clock)
    await setup.begin()
    setup.intend(0)
    sent = setup.ledger.flush()
    assert sent is not None
    await sent
    await clock.advance(GROUP_SECONDS / 2)
    setup.intend(1)
    commits = setup.ledger.statistics().commits
    await clock.advance(GROUP_SECONDS * 0.75)
    assert setup.ledger.statistics().commits == commits, "the first one's time is over, the second one's is not"
    waiting = setup.ledger.flush()
    assert waiting is not None
    await waiting
    setup.ledger.close()
