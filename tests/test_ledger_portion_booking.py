"""Portions taken into the ledger of their run: every cost once, whatever is taken how often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parquill.ledger import QUARTER_US, DatedSpend, Spend, TakenPart, TakenRow
from tests.test_ledger_accounting import NOON, PART, LedgerSetup, fingerprint, ledger_setup

QUARTER = NOON // QUARTER_US


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[LedgerSetup]:
    async with ledger_setup(tmp_path) as setup:
        yield setup


def row(number: int, cost: int, *, answered: bool = True, text: str | None = None, attempts: int = 1) -> TakenRow:
    payload = f"answer {text or number}".encode() if answered else None
    return TakenRow(number, fingerprint(text or str(number)), answered, attempts, cost, "endpoint", 10, 5, 0, payload)


def part(*rows: TakenRow, name: str = PART, quarter: int = QUARTER) -> TakenPart:
    pico, requests = sum(one.cost_pico for one in rows), sum(one.attempts for one in rows)
    spent = Spend(requests, pico, 15 * len(rows), 10 * len(rows), 5 * len(rows), 0, 0)
    return TakenPart(name, "digest", rows, [DatedSpend(quarter, spent)])


async def take(setup: LedgerSetup, taken: TakenPart, portion: str = "p1") -> None:
    await setup.ledger.take_part(portion, run=setup.run, realm="real", part=taken)


async def test_rows_of_a_portion_become_outcomes_and_spend_of_the_run(setup: LedgerSetup) -> None:
    await take(setup, part(row(0, 5), row(3, 7, answered=False, attempts=2)))
    assert await setup.ledger.open_rows(setup.slice.id) == {0: b"answer 0"}
    assert [one.cost_pico for one in (await setup.ledger.open_attempts(setup.slice.id))[3]] == [7]
    spent = await setup.ledger.totals(setup.run)
    assert (spent.requests, spent.pico, spent.tokens) == (3, 12, 30)
    await setup.check(ledger=12)


async def test_a_part_that_is_taken_again_costs_nothing_more(setup: LedgerSetup) -> None:
    for _ in range(2):
        await take(setup, part(row(0, 5), row(1, 7)))
        await setup.check(ledger=12)
        setup.reopened()
    assert (await setup.ledger.totals(setup.run)).requests == 2


async def test_each_part_of_a_portion_is_taken(setup: LedgerSetup) -> None:
    await take(setup, part(row(0, 5)))
    await take(setup, part(row(0, 7, text="b"), name="b.000000.parquet"))
    await take(setup, part(row(0, 5)))
    await take(setup, part(row(0, 7, text="b"), name="b.000000.parquet"))
    await setup.check(ledger=12)


async def test_what_a_row_cost_a_second_time_is_kept_with_its_answer(setup: LedgerSetup) -> None:
    await setup.answer(0, 5)
    await take(setup, part(row(0, 7, text="other"), row(1, 11)))
    assert await setup.ledger.open_rows(setup.slice.id) == {0: b"answer 0", 1: b"answer 1"}
    assert await setup.ledger.archived([fingerprint("other")], "real") == {fingerprint("other"): b"answer other"}
    await setup.check(ledger=16, archive=7)


async def test_a_closed_portion_takes_nothing_more_and_books_its_rest_once(setup: LedgerSetup) -> None:
    rest = [DatedSpend(QUARTER - 4, Spend(2, 30, 40, 20, 20, 1, 30))]
    await take(setup, part(row(0, 5)))
    for _ in range(2):
        await setup.ledger.close_portion("p1", run=setup.run, rest=rest)
        await setup.check(ledger=5, archive=30)
        setup.reopened()
    await take(setup, part(row(1, 7), name="b.000000.parquet"))
    await setup.check(ledger=5, archive=30)
    assert (await setup.ledger.totals(setup.run)).requests == 3


async def test_the_spend_of_a_portion_stands_in_the_quarter_hours_in_which_it_was_sent(setup: LedgerSetup) -> None:
    await take(setup, part(row(0, 5), quarter=QUARTER - 96))
    await setup.ledger.close_portion("p1", run=setup.run, rest=[DatedSpend(QUARTER, Spend(1, 3, 2, 1, 1, 0, 0))])
    spent = await setup.ledger.spent_since((QUARTER - 96) * QUARTER_US)
    assert [(one.quarter, one.spent.pico) for one in spent] == [(QUARTER - 96, 5), (QUARTER, 3)]
    assert [one.spent.pico for one in await setup.ledger.spent_since(QUARTER * QUARTER_US)] == [3]


async def test_a_rest_without_money_leaves_the_archive_as_it_is(setup: LedgerSetup) -> None:
    await setup.ledger.close_portion("p1", run=setup.run, rest=[DatedSpend(QUARTER, Spend(2, 0, 40, 20, 20, 0, 0))])
    await setup.check()
    assert (await setup.ledger.totals(setup.run)).requests == 2


async def test_another_portion_may_have_parts_of_the_same_name(setup: LedgerSetup) -> None:
    await take(setup, part(row(0, 5)))
    await take(setup, part(row(1, 7)), portion="p2")
    assert sorted(await setup.ledger.open_rows(setup.slice.id)) == [0, 1]
    await setup.check(ledger=12)


async def test_a_portion_that_is_forgotten_is_unknown(setup: LedgerSetup) -> None:
    await take(setup, part(row(0, 5)))
    await setup.ledger.close_portion("p1", run=setup.run, rest=[])
    await setup.ledger.forget_portion("p1")
    await take(setup, part(row(2, 7)))
    await setup.check(ledger=12)
