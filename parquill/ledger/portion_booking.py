"""Merges what another process of the same run asked: outcomes, costs, requests in doubt.

That process had a ledger and an output of its own. A part of it is taken in one transaction: its
rows' outcomes, what was spent on rows without one, and the spend of both, so that the books balance
after each. The spend stands in the quarter hours in which that process sent its requests. A part that
was taken is remembered until its portion is closed: taking it again after a crash changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from parquill.ledger.accounting import book_dated
from parquill.ledger.archive import put
from parquill.ledger.records import ArchiveEntry, DatedSpend, TakenPart, TakenRow
from parquill.ledger.schema import ROW_BITS, SETTLED
from parquill.ledger.slices import open_slice

_ROW = "INSERT OR IGNORE INTO rows (key, run_id, fingerprint, ok, cost_pico, payload) VALUES (?, ?, ?, ?, ?, ?)"
_ATTEMPT = (
    "INSERT OR IGNORE INTO attempts (key, number, run_id, fingerprint, worst_pico, worst_tokens, sent_at, state, "
    "cost_pico, cost_source, prompt_tokens, completion_tokens, cached_tokens, upstream_pico) "
    "VALUES (?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def take_part(db: sqlite3.Connection, portion: str, at: int, *, run: int, realm: str, part: TakenPart) -> None:
    """Take a part's outcomes, open attempts and spend into this ledger; harmless the second time."""
    taken, closed = _state(db, portion)
    if closed or part.name in taken:
        return
    slice_id = open_slice(db, part.name, part.digest, at).id
    for row in part.rows:
        if _insert(db, slice_id << ROW_BITS | row.row, run, row, at) == 0:
            # The row is already answered: archive the duplicate's answer with its cost.
            put(db, [ArchiveEntry(row.fingerprint, realm, row.ok, row.cost_pico, row.payload)], at)
    book_dated(db, run, part.spent)
    _remember(db, portion, [*taken, part.name], closed=False)


def close_portion(db: sqlite3.Connection, portion: str, at: int, *, run: int, rest: Sequence[DatedSpend]) -> None:
    """Book what a portion spent and none of its rows shows; harmless the second time.

    The money in `rest` is such whose answers are lost with their process: it stands in the archive from now on.
    """
    taken, closed = _state(db, portion)
    if closed:
        return
    if pico := sum(one.spent.pico for one in rest):
        put(db, [ArchiveEntry(b"", "", ok=False, cost_pico=pico, payload=None)], at)
    book_dated(db, run, rest)
    _remember(db, portion, taken, closed=True)


def forget_portion(db: sqlite3.Connection, portion: str) -> None:
    """Its files are gone: it will not be met again."""
    db.execute("DELETE FROM meta WHERE name = ?", (f"portion {portion}",))


def _insert(db: sqlite3.Connection, key: int, run: int, row: TakenRow, at: int) -> int:
    if row.payload is not None:
        return db.execute(_ROW, (key, run, row.fingerprint, row.ok, row.cost_pico, row.payload)).rowcount
    sums = (row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.upstream_pico)
    attempt = (key, row.attempts, run, row.fingerprint, at, SETTLED, row.cost_pico, row.cost_source, *sums)
    return db.execute(_ATTEMPT, attempt).rowcount


def _state(db: sqlite3.Connection, portion: str) -> tuple[list[str], bool]:
    found = db.execute("SELECT value FROM meta WHERE name = ?", (f"portion {portion}",)).fetchone()
    if found is None:
        return [], False
    known = json.loads(found[0])
    return known["parts"], known["closed"]


def _remember(db: sqlite3.Connection, portion: str, parts: Sequence[str], *, closed: bool) -> None:
    value = json.dumps({"parts": parts, "closed": closed})
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"portion {portion}", value))
