"""Slices, archive and books: what was spent is where the answers are, whatever moves where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parquill.ledger import ArchiveEntry, CarriedRow, DatedSpend, Ledger, Recovery, SliceRecord, Spend

PART = "a.000000.parquet"
NOON = 1_790_000_000_000_000


def fingerprint(text: str) -> bytes:
    return text.encode().ljust(16, b".")


class LedgerSetup:
    """A ledger with a run and an open slice, and the parts that stand beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger.open(path, job="job")
        self.parts: dict[str, tuple[str, int]] = {}
        self.run = 0
        self.slice = SliceRecord(0, "", "")

    async def begin(self) -> None:
        self.run = await self.ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None)
        self.slice = await self.ledger.slice(PART, "digest")

    def intend(self, row: int, number: int = 1, *, print_: str | None = None, worst: int = 900) -> int:
        attempt, _ = self.ledger.intend(
            run=self.run,
            slice_id=self.slice.id,
            row=row,
            number=number,
            fingerprint=fingerprint(print_ or str(row)),
            worst_pico=worst,
            worst_tokens=70,
            sent_at=NOON,
        )
        return attempt

    async def settle(self, attempt: int, cost: int) -> None:
        await self.ledger.settle(
            attempt,
            cost_pico=cost,
            cost_source="endpoint",
            prompt_tokens=0,
            completion_tokens=0,
            cached_tokens=0,
            error_kind="timeout",
        )

    async def answer(self, row: int, cost: int, *, number: int = 1, ok: bool = True, print_: str | None = None) -> None:
        attempt = self.intend(row, number, print_=print_)
        await self.ledger.record(
            run=self.run,
            slice_id=self.slice.id,
            row=row,
            fingerprint=fingerprint(print_ or str(row)),
            ok=ok,
            payload=f"answer {print_ or row}".encode(),
            attempt=attempt,
            cost_pico=cost,
            prompt_tokens=0,
            completion_tokens=0,
        )

    async def check(self, *, parts: int = 0, archive: int = 0, ledger: int = 0, doubt: int = 0) -> None:
        books = await self.ledger.books(self.parts)
        held = (books.parts_pico, books.archive_pico, books.ledger_pico, books.in_doubt_pico)
        assert held == (parts, archive, ledger, doubt)
        assert books.runs_pico == sum(held)
        assert books.balanced

    def reopened(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, job="job")


@asynccontextmanager
async def ledger_setup(folder: Path) -> AsyncIterator[LedgerSetup]:
    """A ledger in `folder` with a run that has begun, closed at the end."""
    setup = LedgerSetup(folder / "ledger.sqlite")
    await setup.begin()
    yield setup
    setup.ledger.close()


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[LedgerSetup]:
    async with ledger_setup(tmp_path) as setup:
        yield setup


def entry(text: str, cost: int, *, ok: bool = True, realm: str = "real") -> ArchiveEntry:
    return ArchiveEntry(fingerprint(text), realm, ok, cost, f"answer {text}".encode())


async def test_books_balance_before_while_and_after_a_part_takes_a_slice_over(setup: LedgerSetup) -> None:
    await setup.answer(0, 5)
    await setup.answer(1, 7)
    await setup.check(ledger=12)
    await setup.ledger.begin_publish(setup.slice.id, "part 1", None)
    await setup.check(ledger=12)
    setup.parts[PART] = ("part 1", 12)
    await setup.check(parts=12)
    await setup.ledger.finish_publish(setup.slice.id)
    await setup.check(parts=12)
    assert await setup.ledger.contents() == []


@pytest.mark.parametrize("stands", [False, True])
async def test_a_crash_while_publishing_is_put_right_by_what_stands(setup: LedgerSetup, *, stands: bool) -> None:
    await setup.answer(0, 5)
    await setup.ledger.begin_publish(setup.slice.id, "part 1", None)
    if stands:
        setup.parts[PART] = ("part 1", 5)
    setup.reopened()
    recovery = await setup.ledger.recover({name: part_id for name, (part_id, _) in setup.parts.items()})
    assert recovery.published == ((PART,) if stands else ())
    assert recovery.unpublished == (() if stands else (PART,))
    assert [held.outcomes for held in await setup.ledger.contents()] == ([] if stands else [1])
    await setup.check(parts=5 if stands else 0, ledger=0 if stands else 5)


async def test_requests_of_a_dead_process_are_in_doubt_at_worst_case_once(setup: LedgerSetup) -> None:
    setup.intend(3, worst=400)
    setup.intend(1, worst=500)
    await setup.settle(setup.intend(2, worst=900), 20)
    setup.reopened()
    assert await setup.ledger.recover({}) == Recovery(2, 900, 140, {PART: (1, 3)}, (), ())
    assert (await setup.ledger.recover({})).in_doubt == 0
    await setup.check(ledger=20, doubt=900)
    totals = await setup.ledger.totals(setup.run)
    assert (totals.requests, totals.doubts, totals.doubt_pico, totals.tokens) == (3, 2, 900, 140)


async def test_a_row_in_doubt_counts_its_worst_case_when_it_has_an_outcome(setup: LedgerSetup) -> None:
    setup.intend(0, worst=400)
    setup.reopened()
    await setup.ledger.recover({})
    await setup.answer(0, 5, number=2)
    await setup.check(ledger=405)


async def test_the_same_slice_is_found_again_and_another_of_its_name_retires_it(setup: LedgerSetup) -> None:
    await setup.answer(0, 5)
    await setup.answer(1, 7, ok=False)
    await setup.settle(setup.intend(2), 30)
    assert await setup.ledger.slice(PART, "digest") == setup.slice
    other = await setup.ledger.slice(PART, "other")
    assert await setup.ledger.open_rows(other.id) == {}
    await setup.check(archive=42)
    adopted = await setup.ledger.adopt(
        run=setup.run, slice_id=other.id, wanted=[(8, fingerprint("0")), (9, fingerprint("1")), (10, fingerprint("2"))]
    )
    assert adopted == {8: b"answer 0"}
    assert await setup.ledger.open_rows(other.id) == {8: b"answer 0"}
    await setup.check(archive=37, ledger=5)


async def test_a_slice_with_requests_in_flight_neither_retires_nor_publishes(setup: LedgerSetup) -> None:
    setup.intend(0)
    with pytest.raises(ValueError, match="1 requests in flight"):
        await setup.ledger.retire(setup.slice.id)
    with pytest.raises(ValueError, match="1 requests in flight"):
        await setup.ledger.begin_publish(setup.slice.id, "part 1", None)


async def stand(setup: LedgerSetup, *costs: int) -> None:
    """Publish the open slice with one row for each cost, and open it anew."""
    for row, cost in enumerate(costs):
        await setup.answer(row, cost)
    await setup.ledger.begin_publish(setup.slice.id, "part 1", None)
    setup.parts[PART] = ("part 1", sum(costs))
    await setup.ledger.finish_publish(setup.slice.id)
    setup.slice = await setup.ledger.slice(PART, "digest 2")


async def test_rows_lifted_from_a_standing_part_count_in_the_archive_and_not_twice(setup: LedgerSetup) -> None:
    await stand(setup, 5, 7)
    assert await setup.ledger.lift("part 1", [(1, entry("1", 7))]) == 7
    await setup.check(parts=5, archive=7)
    assert await setup.ledger.lift("part 1", [(1, entry("1", 7)), (0, entry("0", 5))]) == 5
    await setup.check(archive=12)
    assert await setup.ledger.lifted_rows("part 1") == [0, 1]
    assert await setup.ledger.lifted_rows("part 2") == []


async def test_a_part_is_replaced_by_one_that_keeps_some_rows_and_supersedes_others(setup: LedgerSetup) -> None:
    await stand(setup, 5, 7)
    await setup.answer(1, 40, print_="new 1")
    await setup.ledger.lift("part 1", [(1, entry("1", 7))])
    await setup.ledger.begin_publish(setup.slice.id, "part 2", "part 1")
    await setup.check(parts=5, archive=7, ledger=40)
    setup.parts[PART] = ("part 2", 45)
    await setup.check(parts=45, archive=7)
    await setup.ledger.finish_publish(setup.slice.id)
    await setup.check(parts=45, archive=7)
    assert await setup.ledger.lifted_rows("part 1") == []


async def test_a_part_whose_file_is_gone_is_forgotten(setup: LedgerSetup) -> None:
    await stand(setup, 5)
    await setup.ledger.lift("part 1", [(0, entry("0", 5))])
    del setup.parts[PART]
    await setup.check(archive=5)
    await setup.ledger.drop_part("part 1")
    await setup.check(archive=5)
    assert await setup.ledger.lifted_rows("part 1") == []


async def test_a_row_that_was_not_finished_goes_on_with_the_sums_of_its_part(setup: LedgerSetup) -> None:
    await stand(setup, 5, 7)
    carried = CarriedRow(setup.slice.id, 1, setup.run, fingerprint("1"), 3, 7, "endpoint", 10, 5, 0)
    assert await setup.ledger.lift("part 1", [], [(1, carried)]) == 7
    await setup.check(parts=5, ledger=7)
    assert await setup.ledger.lift("part 1", [], [(1, carried)]) == 0
    (before,) = (await setup.ledger.open_attempts(setup.slice.id))[1]
    assert (before.number, before.cost_pico, before.prompt_tokens, before.in_doubt) == (3, 7, 10, False)
    await setup.answer(1, 40, number=4)
    await setup.check(parts=5, ledger=47)


async def test_an_adopted_answer_brings_its_cost_back_and_leaves_the_archive(setup: LedgerSetup) -> None:
    await stand(setup, 5)
    await setup.ledger.lift("part 1", [(0, entry("0", 5))])
    wanted = [(4, fingerprint("0")), (5, fingerprint("0"))]
    assert await setup.ledger.adopt(run=setup.run, slice_id=setup.slice.id, wanted=wanted) == {4: b"answer 0"}
    await setup.check(ledger=5)
    assert not await setup.ledger.archive_holds("real")


async def test_failed_tries_of_an_adopted_row_stay_in_the_archive(setup: LedgerSetup) -> None:
    await stand(setup, 5)
    await setup.ledger.lift("part 1", [(0, entry("0", 5))])
    await setup.settle(setup.intend(4, print_="0"), 30)
    await setup.ledger.adopt(run=setup.run, slice_id=setup.slice.id, wanted=[(4, fingerprint("0"))])
    await setup.check(ledger=5, archive=30)
    assert await setup.ledger.open_attempts(setup.slice.id) == {}


async def test_answers_of_the_emulator_and_of_real_endpoints_never_mix(setup: LedgerSetup) -> None:
    await stand(setup, 5)
    await setup.ledger.lift("part 1", [(0, entry("0", 5, realm="emulator"))])
    assert not await setup.ledger.archive_holds("real")
    assert await setup.ledger.archive_holds("emulator")
    wanted = [(0, fingerprint("0"))]
    assert await setup.ledger.adopt(run=setup.run, slice_id=setup.slice.id, wanted=wanted) == {}
    run = await setup.ledger.begin_run(realm="emulator", model="m", settings="s", cap_pico=None)
    assert await setup.ledger.adopt(run=run, slice_id=setup.slice.id, wanted=wanted) == {0: b"answer 0"}


@pytest.mark.parametrize("paid_first", [False, True])
async def test_of_equal_answers_the_archive_keeps_the_one_that_was_paid_and_all_costs(
    setup: LedgerSetup, *, paid_first: bool
) -> None:
    await stand(setup, 5, 0, 7)
    paid = (0, entry("same", 5))
    duplicate = (1, ArchiveEntry(fingerprint("same"), "real", True, 0, b"duplicate"))
    failed = (2, entry("same", 7, ok=False))
    for row in (paid, duplicate, failed) if paid_first else (failed, duplicate, paid):
        await setup.ledger.lift("part 1", [row])
    await setup.check(archive=12)
    adopted = await setup.ledger.adopt(run=setup.run, slice_id=setup.slice.id, wanted=[(0, fingerprint("same"))])
    assert adopted == {0: b"answer same"}
    await setup.check(archive=7, ledger=5)


async def test_failed_rows_are_not_found_in_the_archive(setup: LedgerSetup) -> None:
    await stand(setup, 5)
    await setup.ledger.lift("part 1", [(0, entry("0", 5, ok=False))])
    assert not await setup.ledger.archive_holds("real")
    assert await setup.ledger.adopt(run=setup.run, slice_id=setup.slice.id, wanted=[(0, fingerprint("0"))]) == {}
    await setup.check(archive=5)


async def test_new_books_open_with_what_standing_parts_cost(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite", job="job")
    await ledger.open_books([DatedSpend(1_900_000, Spend(0, 12, 0, 0, 0, 0, 0))])
    books = await ledger.books({PART: ("part 1", 12)})
    assert (books.runs_pico, books.balanced) == (12, True)
    assert await ledger.current_run() is None
    with pytest.raises(ValueError, match="open already"):
        await ledger.open_books([DatedSpend(1_900_000, Spend(0, 12, 0, 0, 0, 0, 0))])
    ledger.close()


async def test_a_part_that_vanished_shows_in_the_books(setup: LedgerSetup) -> None:
    await stand(setup, 5)
    books = await setup.ledger.books({})
    assert (books.balanced, books.difference_pico) == (False, -5)
