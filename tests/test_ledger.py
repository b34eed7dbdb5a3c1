"""The ledger's hot path: handed over without waiting, durable when awaited, in few commits."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parquill.errors import OutputError, StorageFaultError
from parquill.ledger import GROUP_OPERATIONS, GROUP_SECONDS, QUARTER_US, AttemptRecord, Durable, Ledger, Spend, schema
from parquill.ledger.writer import Writer
from tests.clock import ManualClock

PRINT = bytes(range(16))
NOON = 1_790_000_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger.open(path, job="job")
    await ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None)
    await ledger.slice("a.000000.parquet", "digest")
    yield ledger
    ledger.close()


def intend(ledger: Ledger, row: int = 0, number: int = 1, worst: int = 900) -> tuple[int, Durable]:
    return ledger.intend(
        run=1, slice_id=1, row=row, number=number, fingerprint=PRINT, worst_pico=worst, worst_tokens=70, sent_at=NOON
    )


def settle(ledger: Ledger, attempt: int, cost: int = 0, tokens: int | None = 0) -> Durable:
    return ledger.settle(
        attempt,
        cost_pico=cost,
        cost_source="endpoint",
        prompt_tokens=tokens,
        completion_tokens=tokens,
        cached_tokens=0,
        error_kind="timeout",
    )


def record(ledger: Ledger, attempt: int | None, row: int = 0, cost: int = 0, payload: bytes = b"answer") -> Durable:
    return ledger.record(
        run=1,
        slice_id=1,
        row=row,
        fingerprint=PRINT,
        ok=True,
        payload=payload,
        attempt=attempt,
        cost_pico=cost,
        prompt_tokens=10,
        completion_tokens=5,
    )


def count(path: Path, table: str) -> int:
    """What another process would see: only what is committed."""
    other = sqlite3.connect(path)
    try:
        return int(other.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        other.close()


async def test_an_awaited_intent_is_committed_before_it_returns(ledger: Ledger, path: Path) -> None:
    _, durable = intend(ledger)
    assert count(path, "attempts") == 0
    await durable
    assert count(path, "attempts") == 1


async def test_an_awaited_outcome_is_committed_and_its_intent_gone(ledger: Ledger, path: Path) -> None:
    attempt, durable = intend(ledger)
    await durable
    await record(ledger, attempt, cost=7)
    assert (count(path, "attempts"), count(path, "rows")) == (0, 1)
    assert await ledger.open_rows(1) == {0: b"answer"}


async def test_rows_that_wait_together_share_a_commit(ledger: Ledger) -> None:
    before = ledger.statistics()

    async def one_row(row: int) -> None:
        attempt, durable = intend(ledger, row)
        await durable
        await record(ledger, attempt, row)

    await asyncio.gather(*(one_row(row) for row in range(200)))
    after = ledger.statistics()
    assert after.operations - before.operations == 400
    assert after.commits - before.commits <= 6


async def test_a_group_goes_when_its_time_has_come_and_not_before(path: Path) -> None:
    clock = ManualClock()
    ledger = Ledger.open(path, job="job", clock=clock)
    _, durable = intend(ledger)
    await clock.advance(GROUP_SECONDS * 0.9)
    assert count(path, "attempts") == 0
    await clock.advance(GROUP_SECONDS * 0.2)
    await durable
    assert count(path, "attempts") == 1
    ledger.close()


async def test_a_full_group_is_committed_at_once(path: Path) -> None:
    ledger = Ledger.open(path, job="job", clock=ManualClock())
    handed_over = [intend(ledger, row)[1] for row in range(GROUP_OPERATIONS)]
    await handed_over[0]
    assert count(path, "attempts") == GROUP_OPERATIONS
    ledger.close()


async def test_flush_and_close_commit_what_was_handed_over(path: Path) -> None:
    ledger = Ledger.open(path, job="job", clock=ManualClock())
    assert ledger.flush() is None
    intend(ledger, 0)
    durable = ledger.flush()
    assert durable is not None
    await durable
    assert count(path, "attempts") == 1
    intend(ledger, 1)
    ledger.close()
    assert count(path, "attempts") == 2


async def test_a_cancelled_task_does_not_cancel_its_neighbours_waiting(ledger: Ledger) -> None:
    _, durable = intend(ledger)

    async def wait() -> str:
        await durable
        return "durable"

    gone, stays = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "durable"
    assert gone.cancelled()


async def test_the_event_loop_goes_on_while_the_disk_is_held_up(ledger: Ledger, path: Path) -> None:
    holdup = sqlite3.connect(path, isolation_level=None)
    holdup.execute("BEGIN IMMEDIATE")
    _, durable = intend(ledger)
    durable_of_flush = ledger.flush()
    assert durable_of_flush is durable
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not durable.done
    holdup.execute("ROLLBACK")
    holdup.close()
    await durable
    assert durable.done


async def test_the_generation_id_is_kept_for_a_request_that_ends_in_doubt(ledger: Ledger, path: Path) -> None:
    attempt, _ = intend(ledger)
    ledger.headers(attempt, "gen-1")
    await ledger.recover({})
    assert [doubt.generation_id for doubt in (await ledger.open_attempts(1))[0]] == ["gen-1"]


async def test_attempts_that_ended_stay_until_their_row_has_an_outcome(ledger: Ledger) -> None:
    first, _ = intend(ledger, number=1)
    settle(ledger, first, cost=30, tokens=4)
    second, _ = intend(ledger, number=2)
    await settle(ledger, second, cost=900, tokens=None)
    assert await ledger.open_attempts(1) == {
        0: [
            AttemptRecord(1, False, PRINT, None, 30, "endpoint", 4, 4, 0, "timeout"),
            AttemptRecord(2, False, PRINT, None, 900, "endpoint", None, None, 0, "timeout"),
        ]
    }
    third, _ = intend(ledger, number=3)
    await record(ledger, third, cost=7)
    assert await ledger.open_attempts(1) == {}


async def test_a_row_costs_what_all_its_attempts_did(ledger: Ledger) -> None:
    for number, cost in ((1, 30), (2, 900)):
        attempt, _ = intend(ledger, number=number)
        settle(ledger, attempt, cost=cost)
    attempt, _ = intend(ledger, number=3)
    await record(ledger, attempt, cost=7)
    books = await ledger.books({})
    assert (books.ledger_pico, books.runs_pico, books.balanced) == (937, 937, True)


async def test_a_run_books_each_request_once_and_unknown_tokens_at_worst_case(ledger: Ledger) -> None:
    first, _ = intend(ledger, number=1)
    settle(ledger, first, cost=30, tokens=None)
    second, _ = intend(ledger, number=2)
    await record(ledger, second, cost=7)
    assert await ledger.totals(1) == Spend(
        requests=2, pico=37, tokens=70 + 15, prompt_tokens=10, completion_tokens=5, doubts=0, doubt_pico=0
    )


async def test_a_request_that_was_never_sent_leaves_no_trace(ledger: Ledger, path: Path) -> None:
    attempt, durable = intend(ledger)
    await durable
    await ledger.withdraw(attempt)
    assert count(path, "attempts") == 0
    assert (await ledger.totals(1)).requests == 0


async def test_an_outcome_without_a_request_books_nothing(ledger: Ledger) -> None:
    await record(ledger, None, row=3)
    assert await ledger.open_rows(1) == {3: b"answer"}
    assert (await ledger.totals(1)).requests == 0


async def test_requests_in_flight_stand_on_neither_side_of_the_books(ledger: Ledger) -> None:
    await intend(ledger, worst=900)[1]
    books = await ledger.books({})
    assert (books.in_flight, books.in_flight_pico, books.runs_pico, books.balanced) == (1, 900, 0, True)


async def test_spend_is_found_by_any_time_zones_day(ledger: Ledger) -> None:
    quarter = 15 * 60 * 1_000_000
    midnight = NOON // quarter * quarter
    for at, cost in ((midnight - 1, 1), (midnight, 20), (midnight + quarter - 1, 300), (midnight + quarter, 4000)):
        attempt, _ = ledger.intend(
            run=1, slice_id=1, row=cost, number=1, fingerprint=PRINT, worst_pico=0, worst_tokens=0, sent_at=at
        )
        settle(ledger, attempt, cost)
    found = await ledger.spent_since(midnight)
    assert [(one.at * 1_000_000 - midnight, one.spent.pico, one.spent.requests) for one in found] == [
        (0, 320, 2),
        (quarter, 4000, 1),
    ]


async def test_a_request_that_waited_is_booked_in_the_quarter_hour_in_which_it_was_sent(ledger: Ledger) -> None:
    """Also where its process dies before it ends."""
    attempt, durable = intend(ledger)
    lost, _ = intend(ledger, row=1, worst=900)
    await durable
    assert ledger.redate(attempt, NOON) is None
    for one in (attempt, lost):
        redated = ledger.redate(one, NOON + 3 * QUARTER_US)
        assert redated is not None
        await redated
    await settle(ledger, attempt, 20)
    await ledger.recover({})
    (found,) = await ledger.spent_since(0)
    assert (found.quarter, found.spent.pico) == ((NOON + 3 * QUARTER_US) // QUARTER_US, 920)


async def test_calls_see_all_that_was_handed_over_before(ledger: Ledger) -> None:
    for row in range(3):
        record(ledger, None, row=row)
    assert list(await ledger.open_rows(1)) == [0, 1, 2]


async def test_a_wrong_argument_is_the_callers_fault_and_the_ledger_goes_on(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="slice 7 is not being published"):
        await ledger.finish_publish(7)
    await record(ledger, None)


async def test_after_a_fault_every_waiter_and_every_later_call_hears_of_it(ledger: Ledger) -> None:
    _, first = intend(ledger, row=0)
    intend(ledger, row=0)  # the same attempt of the same row twice: the commit must fail

    async def wait() -> None:
        await first

    waiters = await asyncio.gather(wait(), wait(), return_exceptions=True)
    assert [type(heard) for heard in waiters] == [StorageFaultError, StorageFaultError]
    assert waiters[0] is not waiters[1]
    assert all(isinstance(heard.__cause__, sqlite3.IntegrityError) for heard in waiters if heard is not None)
    with pytest.raises(StorageFaultError, match=r"ledger\.sqlite: the ledger could not be written"):
        intend(ledger, row=1)
    with pytest.raises(StorageFaultError):
        await ledger.books({})


async def test_runs_go_on_across_stops_and_end_once(ledger: Ledger) -> None:
    await ledger.end_run(1, "budget")
    stopped = await ledger.current_run()
    assert stopped is not None
    assert (stopped.id, stopped.stop, stopped.ended_at, stopped.cap_pico) == (1, "budget", None, None)
    await ledger.resume_run(1, model="m", settings="s", cap_pico=5)
    resumed = await ledger.current_run()
    assert resumed is not None
    assert (resumed.id, resumed.stop, resumed.cap_pico) == (1, None, 5)
    await ledger.end_run(1, None)
    assert await ledger.current_run() is None
    assert await ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None) == 2
    assert await ledger.begin_run(realm="real", model="m", settings="s", cap_pico=None) == 3
    assert [run.ended_at is not None for run in await ledger.runs()] == [True, True, False]


def test_a_ledger_is_opened_again_by_its_own_job_only(path: Path) -> None:
    Ledger.open(path, job="mine").close()
    Ledger.open(path, job="mine").close()
    with pytest.raises(OutputError, match=r"belongs to the job 'mine', not to 'other'; choose another output\.path"):
        Ledger.open(path, job="other")


def test_what_durability_hangs_on_is_set(path: Path) -> None:
    ledger = Ledger.open(path, job="job")
    ledger.close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_ledger_of_a_newer_format_is_refused(path: Path) -> None:
    Ledger.open(path, job="job").close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(OutputError, match=r"written by a newer Parquill \(format 99, known here is 4\); update"):
        Ledger.open(path, job="job")


async def test_a_ledger_of_the_first_format_goes_on_and_its_attempts_have_no_upstream_part(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(schema._FORMAT_1)
    old.execute("INSERT INTO runs VALUES (1, 0, NULL, NULL, 'real', 'm', 's', NULL)")
    old.execute("INSERT INTO slices VALUES (1, 'a.000000.parquet', 'digest', NULL, NULL)")
    old.execute(
        "INSERT INTO attempts VALUES (?, 1, 1, ?, 900, 70, ?, 1, NULL, 5, 'endpoint', 3, 4, 0, 'timeout')",
        (1 << schema.ROW_BITS, PRINT, NOON),
    )
    old.execute(f"PRAGMA application_id={schema._APPLICATION_ID}")
    old.execute("PRAGMA user_version=1")
    old.close()
    ledger = Ledger.open(path, job="job")
    try:
        (attempt,) = (await ledger.open_attempts(1))[0]
        assert (attempt.cost_pico, attempt.upstream_pico, attempt.error_kind) == (5, None, "timeout")
        number, durable = intend(ledger, number=2)
        await durable
        await ledger.settle(
            number, cost_pico=9, cost_source="endpoint", prompt_tokens=1, completion_tokens=1, cached_tokens=0,
            error_kind="bad_response", upstream_pico=8,
        )  # fmt: skip
        assert [one.upstream_pico for one in (await ledger.open_attempts(1))[0]] == [None, 8]
    finally:
        ledger.close()


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(OutputError, match="no ledger of Parquill's"):
        Ledger.open(path, job="job")
    assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)
    other.close()


def test_a_damaged_ledger_is_told_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"This is no database at all. " * 200)
    with pytest.raises(StorageFaultError, match=r"ledger\.sqlite: the ledger is damaged .*Put it back from a copy"):
        Ledger.open(path, job="job")


def test_an_empty_file_of_a_process_that_died_at_once_is_a_new_ledger(path: Path) -> None:
    path.touch()
    Ledger.open(path, job="job").close()


def test_a_ledger_whose_folder_is_missing_is_refused(path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be opened for writing"):
        Ledger.open(path.parent / "none" / "ledger.sqlite", job="job")


def test_a_place_that_cannot_hold_a_durable_ledger_is_refused() -> None:
    with pytest.raises(StorageFaultError, match=r"cannot hold a durable ledger .*journal_mode stays 'memory'"):
        Ledger.open(Path(":memory:"), job="job")


async def test_who_reads_beside_a_run_holds_up_none_of_its_commits(ledger: Ledger, path: Path) -> None:
    beside = Writer(path, "job")
    reading, read = threading.Event(), threading.Event()

    def slow_read(db: sqlite3.Connection) -> int:
        found = db.execute("SELECT count(*) FROM rows").fetchone()[0]
        reading.set()
        read.wait()
        return int(found)

    pending = beside.call(slow_read)
    await asyncio.to_thread(reading.wait)
    await record(ledger, None)
    read.set()
    assert await pending == 0
    assert count(path, "rows") == 1
    beside.close()
