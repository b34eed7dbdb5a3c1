"""The ledger seen by who only looks, and its sums beside each other: neighbours' rows never count."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parquill.ledger import GROUP_SECONDS, QUARTER_US, EvidenceCount, FailureRecord, Ledger, ReadOnlyLedger
from parquill.ledger.schema import ROW_BITS
from tests.clock import ManualClock
from tests.test_ledger_accounting import NOON, PART, Room, entry, fingerprint

LAST_ROW = (1 << ROW_BITS) - 1


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path / "ledger.sqlite")
    await room.begin()
    yield room
    room.ledger.close()


async def neighbours(room: Room) -> None:
    """Three slices, of which the middle one is looked at; its neighbours' rows lie at its edges."""
    before = room.slice
    await room.settle(room.intend(LAST_ROW), 1)
    await room.answer(LAST_ROW - 1, 2)
    room.slice = middle = await room.ledger.slice("b.000000.parquet", "digest")
    await room.answer(0, 3)
    await room.answer(5, 4, ok=False)
    await room.answer(LAST_ROW, 5)
    await room.settle(room.intend(1), 6)
    await room.settle(room.intend(1, 2), 7)
    await room.settle(room.intend(LAST_ROW - 1), 8)
    room.slice = await room.ledger.slice("c.000000.parquet", "digest")
    assert (before.id, middle.id, room.slice.id) == (1, 2, 3)
    await room.settle(room.intend(0), 9)
    await room.answer(1, 10)
    room.slice = middle


def marks(*rows: int) -> list[bytes]:
    return [fingerprint(str(row)) for row in rows]


async def test_who_looks_sees_what_the_ledger_holds_of_a_slice_and_of_no_other(room: Room) -> None:
    await neighbours(room)
    with ReadOnlyLedger.at(room.path) as glance:
        assert glance is not None
        assert [one.name for one in glance.slices()] == [PART, "b.000000.parquet", "c.000000.parquet"]
        assert glance.slices() == await room.ledger.slices()
        assert glance.attempted(2) == {1, LAST_ROW - 1}
        assert glance.answers(2, "real") == marks(0, LAST_ROW)
        assert glance.answers(2, "emulator") == []
        answered = {0: marks(0)[0], 5: None, LAST_ROW: marks(LAST_ROW)[0]}
        assert glance.answered(2) == answered == await room.ledger.answered(2)
        assert glance.totals() == await room.ledger.totals(room.run)
        assert (glance.totals().requests, glance.totals().pico) == (10, 55)
        assert [(one.quarter, one.spent.pico) for one in glance.spent()] == [(NOON // QUARTER_US, 55)]


async def test_no_file_is_nothing_to_see(tmp_path: Path) -> None:
    with ReadOnlyLedger.at(tmp_path / "none.sqlite") as glance:
        assert glance is None


async def test_who_looks_finds_archived_answers_of_a_realm(room: Room) -> None:
    with ReadOnlyLedger.at(room.path) as glance:
        assert glance is not None
        assert not glance.archive_holds("real")
        await room.ledger.lift("part", [(0, entry("a", 3)), (1, entry("b", 4, ok=False))])
        assert glance.archive_holds("real") is True
        assert glance.archive_holds("emulator") is False
        assert glance.archived(fingerprint("a"), "real") is True
        assert glance.archived(fingerprint("a"), "emulator") is False
        assert glance.archived(fingerprint("b"), "real") is False, "a failure is no answer"


async def test_rows_that_were_lifted_are_known_by_their_number_in_the_part(room: Room) -> None:
    rows = [0, 1, 7, 8, 9, 63, 64, 1000]
    moved = await room.ledger.lift("part", [(row, entry(str(row), row)) for row in rows])
    assert moved == sum(rows)
    assert await room.ledger.lifted_rows("part") == rows
    assert await room.ledger.lift("part", [(row, entry(str(row), row)) for row in [*rows, 2]]) == 2
    assert await room.ledger.lifted_rows("part") == sorted([*rows, 2])
    assert await room.ledger.lifted_rows("other") == []


async def test_what_was_lifted_from_parts_that_are_gone_takes_nothing_from_those_that_stand(room: Room) -> None:
    await room.ledger.lift("gone", [(0, entry("a", 3))])
    await room.ledger.lift("stands", [(0, entry("b", 4))])
    books = await room.ledger.books({PART: ("stands", 10), "b.000000.parquet": ("new", 5)})
    assert (books.parts_pico, books.archive_pico) == (15 - 4, 7)


@pytest.mark.parametrize("difference", [7, -7])
async def test_a_difference_of_the_books_is_booked_where_it_is_missing(room: Room, difference: int) -> None:
    await room.answer(0, 20)
    parts = {"b.000000.parquet": ("p", 7)} if difference > 0 else {}
    if difference < 0:
        await room.ledger.square(7)
    assert (await room.ledger.books(parts)).difference_pico == difference
    before = await room.ledger.runs()
    await room.ledger.square(difference)
    assert (await room.ledger.books(parts)).balanced
    assert (await room.ledger.totals(room.run)).pico == 20, "the run itself spent what it spent"
    runs = await room.ledger.runs()
    assert len(runs) - len(before) == (1 if difference > 0 else 0)
    current = await room.ledger.current_run()
    assert current is not None
    assert current.id == room.run


def failed(text: str, runs: int, kind: str = "invalid_answer") -> FailureRecord:
    return FailureRecord(fingerprint(text), kind, runs, NOON, "no")


async def publish(room: Room, *counted: FailureRecord, realm: str = "real") -> None:
    await room.ledger.begin_publish(room.slice.id, "part", None)
    await room.ledger.finish_publish(room.slice.id, counted, realm)
    room.slice = await room.ledger.slice(PART, "digest")


async def test_requests_that_failed_alike_are_counted_by_realm_until_they_are_answered(room: Room) -> None:
    every = [fingerprint(one) for one in "abc"]
    assert not await room.ledger.some_failed("real", 1)
    await publish(room, failed("a", 1), failed("b", 2))
    await publish(room, failed("a", 3), realm="emulator")
    assert await room.ledger.failures(every, "real") == {
        fingerprint("a"): failed("a", 1),
        fingerprint("b"): failed("b", 2),
    }
    assert await room.ledger.failures(every, "real", 2) == {fingerprint("b"): failed("b", 2)}
    assert await room.ledger.failures(every, "real", 3) == {}
    assert (await room.ledger.some_failed("real", 2), await room.ledger.some_failed("real", 3)) == (True, False)
    with ReadOnlyLedger.at(room.path) as glance:
        assert glance is not None
        assert glance.failures(every, "emulator", 3) == {fingerprint("a"): failed("a", 3)}
    await publish(room, failed("b", 3))
    assert await room.ledger.failures(every, "real", 3) == {fingerprint("b"): failed("b", 3)}
    await room.answer(0, 1, print_="b")
    await room.answer(1, 1, print_="a", ok=False)
    await publish(room)
    assert await room.ledger.failures(every, "real") == {fingerprint("a"): failed("a", 1)}
    assert await room.ledger.failures(every, "emulator") == {fingerprint("a"): failed("a", 3)}


async def test_a_slice_that_is_not_being_published_is_not_let_go_of(room: Room) -> None:
    await room.answer(0, 1)
    for slice_id in (room.slice.id, 99):
        with pytest.raises(ValueError, match="is not being published"):
            await room.ledger.finish_publish(slice_id)
        if slice_id == 99:
            with pytest.raises(ValueError, match="is not open"):
                await room.ledger.begin_publish(slice_id, "part", None)
    assert await room.ledger.open_rows(room.slice.id) == {0: b"answer 0"}


async def test_what_processes_noted_of_their_tables_is_kept_by_process(room: Room) -> None:
    assert await room.ledger.evidence() == []
    await room.ledger.note_evidence(EvidenceCount("2", 5, 1, ended=False))
    await room.ledger.note_evidence(EvidenceCount("1", None, 0, ended=True))
    await room.ledger.note_evidence(EvidenceCount("2", 9, 2, ended=True))
    wanted = [EvidenceCount("1", None, 0, ended=True), EvidenceCount("2", 9, 2, ended=True)]
    assert await room.ledger.evidence() == wanted
    with ReadOnlyLedger.at(room.path) as glance:
        assert glance is not None
        assert glance.evidence() == wanted


async def test_requests_of_one_quarter_hour_are_counted_one_by_one(room: Room) -> None:
    for row in range(5):
        await room.answer(row, 1)
    attempts = [room.intend(row) for row in range(5, 12)]
    for attempt in attempts:
        room.ledger.settle(
            attempt, cost_pico=2, cost_source="endpoint", prompt_tokens=3, completion_tokens=4, cached_tokens=0,
            error_kind=None,
        )  # fmt: skip
    spent = await room.ledger.totals(room.run)
    assert (spent.requests, spent.pico, spent.tokens) == (12, 5 + 14, 7 * 7)
    assert (spent.prompt_tokens, spent.completion_tokens) == (21, 28)


async def test_the_ledger_of_a_folder_that_is_its_owners_alone_is_so_too(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    room = Room(folder / "ledger.sqlite")
    await room.begin()
    modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    room.ledger.close()
    assert all(mode & 0o077 == 0 for mode in modes)
    assert room.ledger.path == room.path


async def test_a_group_that_was_sent_early_takes_nothing_from_the_time_of_the_next(tmp_path: Path) -> None:
    clock = ManualClock()
    room = Room(tmp_path / "ledger.sqlite")
    room.ledger.close()
    room.ledger = Ledger.open(room.path, job="job", clock=clock)
    await room.begin()
    room.intend(0)
    sent = room.ledger.flush()
    assert sent is not None
    await sent
    await clock.advance(GROUP_SECONDS / 2)
    room.intend(1)
    commits = room.ledger.statistics().commits
    await clock.advance(GROUP_SECONDS * 0.75)
    assert room.ledger.statistics().commits == commits, "the first one's time is over, the second one's is not"
    waiting = room.ledger.flush()
    assert waiting is not None
    await waiting
    room.ledger.close()
