"""Books runs and their spend, and checks that all spend is accounted for by answers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from parquill.ledger.archive import put
from parquill.ledger.batch_commit import BOOK
from parquill.ledger.records import SPEND_SUMS, ArchiveEntry, AskedOf, Books, DatedSpend, RunRecord, Spend
from parquill.ledger.schema import DOUBT, OPEN, QUARTER_US, ROW_BITS, SETTLED

_RUN = "SELECT id, started_at, ended_at, stop, realm, model, settings, cap_pico FROM runs"
_SPEND = (
    "SELECT coalesce(sum(requests), 0), coalesce(sum(pico), 0), coalesce(sum(tokens), 0), "
    "coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(doubts), 0), "
    "coalesce(sum(doubt_pico), 0) FROM spend"
)
_BY_QUARTER = _SPEND.replace("SELECT", "SELECT quarter,", 1)

_ROWS = "SELECT coalesce(sum(cost_pico), 0) FROM rows WHERE key >> ? NOT IN (SELECT value FROM json_each(?))"
_ATTEMPTS = _ROWS.replace("FROM rows", "FROM attempts") + " AND state = ?"


def begin_run(db: sqlite3.Connection, at: int, *, realm: str, model: str, settings: str, cap_pico: int | None) -> int:
    """Begin a run; one that still goes on ends here."""
    db.execute("UPDATE runs SET ended_at = ? WHERE ended_at IS NULL", (at,))
    cursor = db.execute(
        "INSERT INTO runs (started_at, realm, model, settings, cap_pico) VALUES (?, ?, ?, ?, ?)",
        (at, realm, model, settings, cap_pico),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def resume_run(db: sqlite3.Connection, run: int, *, model: str, settings: str, cap_pico: int | None) -> None:
    """A run goes on, perhaps with another cap: it is not stopped any more."""
    db.execute(
        "UPDATE runs SET stop = NULL, model = ?, settings = ?, cap_pico = ? WHERE id = ?",
        (model, settings, cap_pico, run),
    )


def end_run(db: sqlite3.Connection, run: int, stop: str | None, at: int) -> None:
    """Note why a run stopped; None: it came to its end, and the next one is another."""
    db.execute("UPDATE runs SET stop = ?, ended_at = ? WHERE id = ?", (stop, None if stop else at, run))


def current_run(db: sqlite3.Connection) -> RunRecord | None:
    """The run that has not ended: it goes on, was stopped, or died."""
    found = db.execute(f"{_RUN} WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1").fetchone()
    return RunRecord(*found) if found else None


def runs(db: sqlite3.Connection) -> list[RunRecord]:
    """Return all runs, the oldest first."""
    return [RunRecord(*found) for found in db.execute(f"{_RUN} ORDER BY id")]


def totals(db: sqlite3.Connection, run: int) -> Spend:
    """Return what a run has booked so far."""
    return Spend(*db.execute(f"{_SPEND} WHERE run_id = ?", (run,)).fetchone())


def spent_between(db: sqlite3.Connection, start_us: int, end_us: int) -> Spend:
    """What all runs spent on requests sent from `start_us` to before `end_us`, by quarter hours."""
    quarters = start_us // QUARTER_US, -(-end_us // QUARTER_US)
    return Spend(*db.execute(f"{_SPEND} WHERE quarter >= ? AND quarter < ?", quarters).fetchone())


def spent_since(db: sqlite3.Connection, start_us: int) -> list[DatedSpend]:
    """What all runs spent on requests sent from `start_us` on, by quarter hours; also under dates still to come."""
    found = db.execute(f"{_BY_QUARTER} WHERE quarter >= ? GROUP BY quarter ORDER BY quarter", (start_us // QUARTER_US,))
    return [DatedSpend(quarter, Spend(*sums)) for quarter, *sums in found]


def asked_since(db: sqlite3.Connection, start_us: int) -> list[AskedOf]:
    """How many requests each endpoint is known to have been sent from `start_us` on, by quarter hours."""
    wanted = "SELECT endpoint, quarter, requests FROM asked WHERE quarter >= ? ORDER BY quarter"
    return [AskedOf(*found) for found in db.execute(wanted, (start_us // QUARTER_US,))]


def open_books(db: sqlite3.Connection, spent: Sequence[DatedSpend], at: int) -> None:
    """Book what parts cost that stand already when a ledger is new: one run, ended, before all others.

    Raises `ValueError` when a run has been booked already.
    """
    if db.execute("SELECT EXISTS (SELECT 1 FROM runs)").fetchone()[0]:
        raise ValueError("these books are open already")
    cursor = db.execute(
        "INSERT INTO runs (started_at, ended_at, realm, model, settings) VALUES (?, ?, '', '', '')", (at, at)
    )
    assert cursor.lastrowid is not None
    book_dated(db, cursor.lastrowid, spent)


def book_dated(db: sqlite3.Connection, run: int, spent: Sequence[DatedSpend]) -> None:
    """Add sums to a run's spend, each in its quarter hour."""
    for one in spent:
        db.execute(BOOK, (run, one.quarter, *(getattr(one.spent, name) for name in SPEND_SUMS)))


def square(db: sqlite3.Connection, difference_pico: int, at: int) -> None:
    """Book a difference of the books: spent by a run that has ended, or lost and noted in the archive."""
    if difference_pico < 0:
        put(db, [ArchiveEntry(b"", "", ok=False, cost_pico=-difference_pico, payload=None)], at)
        return
    db.execute("INSERT INTO runs (started_at, ended_at, realm, model, settings) VALUES (?, ?, '', '', '')", (at, at))
    db.execute(
        "INSERT INTO spend SELECT max(id), ?, 0, ?, 0, 0, 0, 0, 0 FROM runs", (at // QUARTER_US, difference_pico)
    )


def books(db: sqlite3.Connection, parts: Mapping[str, tuple[str, int]]) -> Books:
    """Sum both sides; `parts` maps the names of the parts that stand to (part id, cost).

    While a part takes over a slice's rows, they stand in both places: they count in the part as
    soon as it stands under its name, in the ledger until then.
    """
    not_taken = (ROW_BITS, _taken_over(db, parts))
    flying, flying_pico = db.execute(
        "SELECT count(*), coalesce(sum(worst_pico), 0) FROM attempts WHERE state = ?", (OPEN,)
    ).fetchone()
    return Books(
        parts_pico=sum(cost for _, cost in parts.values()) - _lifted(db, parts),
        archive_pico=_sum(db, "SELECT coalesce(sum(cost_pico + rest_pico), 0) FROM archive"),
        ledger_pico=_sum(db, _ROWS, *not_taken) + _sum(db, _ATTEMPTS, *not_taken, SETTLED),
        in_doubt_pico=_sum(db, _ATTEMPTS, *not_taken, DOUBT),
        runs_pico=_sum(db, "SELECT coalesce(sum(pico), 0) FROM spend"),
        in_flight=flying,
        in_flight_pico=flying_pico,
    )


def _taken_over(db: sqlite3.Connection, parts: Mapping[str, tuple[str, int]]) -> str:
    """Ids of slices whose part stands already, as a JSON list."""
    publishing = db.execute("SELECT id, name, publishing FROM slices WHERE publishing IS NOT NULL")
    return json.dumps([id_ for id_, name, part_id in publishing if parts.get(name, ("", 0))[0] == part_id])


def _lifted(db: sqlite3.Connection, parts: Mapping[str, tuple[str, int]]) -> int:
    standing = {part_id for part_id, _ in parts.values()}
    return sum(cost for part_id, cost in db.execute("SELECT part_id, cost_pico FROM lifted") if part_id in standing)


def _sum(db: sqlite3.Connection, query: str, *parameters: object) -> int:
    return int(db.execute(query, parameters).fetchone()[0])
