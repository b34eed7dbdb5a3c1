"""Open slices: their rows in the ledger, and how they leave it when their part is published."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping

from parquill.ledger import failures
from parquill.ledger.archive import refuse_in_flight, retire
from parquill.ledger.batch_commit import BOOK
from parquill.ledger.records import AttemptRecord, FailureRecord, OpenSlice, Recovery, SliceRecord
from parquill.ledger.schema import DOUBT, OPEN, QUARTER_US, ROW_BITS


def open_slice(db: sqlite3.Connection, name: str, digest: str, at: int) -> SliceRecord:
    """Return the slice's record, opening one where there is none.

    One of the same name whose rows were others (another digest) is retired first: its
    answers are then found by their fingerprints.
    """
    found = db.execute("SELECT id, digest FROM slices WHERE name = ?", (name,)).fetchone()
    if found is not None and found[1] == digest:
        return SliceRecord(found[0], name, digest)
    if found is not None:
        retire(db, found[0], at)
    cursor = db.execute("INSERT INTO slices (name, digest) VALUES (?, ?)", (name, digest))
    assert cursor.lastrowid is not None
    return SliceRecord(cursor.lastrowid, name, digest)


def all_slices(db: sqlite3.Connection) -> list[SliceRecord]:
    """Return the slices that the ledger holds rows of."""
    return [SliceRecord(*found) for found in db.execute("SELECT id, name, digest FROM slices ORDER BY name")]


def contents(db: sqlite3.Connection) -> list[OpenSlice]:
    """What keeps the ledger from being empty, by slice."""
    held = "(SELECT count(*) FROM {} WHERE key BETWEEN id << {bits} AND ((id + 1) << {bits}) - 1)"
    rows, attempts = (held.format(table, bits=ROW_BITS) for table in ("rows", "attempts"))
    query = f"SELECT name, {rows}, {attempts} FROM slices ORDER BY name"  # noqa: S608 - constants only
    return [OpenSlice(*found) for found in db.execute(query)]


def outcomes(db: sqlite3.Connection, slice_id: int) -> dict[int, bytes]:
    """Encoded results of the slice's rows that have an outcome, by row, in order."""
    found = db.execute("SELECT key, payload FROM rows WHERE key BETWEEN ? AND ? ORDER BY key", _range(slice_id))
    return {key - (slice_id << ROW_BITS): payload for key, payload in found}


def outcome(db: sqlite3.Connection, slice_id: int, row: int) -> bytes | None:
    """The encoded result of one row, if it has an outcome."""
    found = db.execute("SELECT payload FROM rows WHERE key = ?", (slice_id << ROW_BITS | row,)).fetchone()
    return None if found is None else bytes(found[0])


def answered(db: sqlite3.Connection, slice_id: int) -> dict[int, bytes | None]:
    """The slice's rows that have an outcome, with the fingerprint where that is an answer."""
    found = db.execute("SELECT key, ok, fingerprint FROM rows WHERE key BETWEEN ? AND ?", _range(slice_id))
    return {key - (slice_id << ROW_BITS): bytes(fingerprint) if ok else None for key, ok, fingerprint in found}


def open_attempts(db: sqlite3.Connection, slice_id: int) -> dict[int, list[AttemptRecord]]:
    """Attempts that ended or are in doubt, of rows without an outcome, by row, in order."""
    by_row: dict[int, list[AttemptRecord]] = defaultdict(list)
    found = db.execute(
        "SELECT key, number, state, fingerprint, generation_id, cost_pico, cost_source, prompt_tokens, "
        "completion_tokens, cached_tokens, error_kind, upstream_pico "
        "FROM attempts WHERE key BETWEEN ? AND ? AND state != ? ORDER BY key, number",
        (*_range(slice_id), OPEN),
    )
    for key, number, state, *rest in found:
        by_row[key - (slice_id << ROW_BITS)].append(AttemptRecord(number, state == DOUBT, *rest))
    return dict(by_row)


def begin_publish(db: sqlite3.Connection, slice_id: int, part_id: str, replaces: str | None) -> None:
    """Note which part is about to take the slice's rows over, and the part whose place it takes."""
    refuse_in_flight(db, slice_id)
    changed = db.execute(
        "UPDATE slices SET publishing = ?, replaces = ? WHERE id = ?", (part_id, replaces, slice_id)
    ).rowcount
    if changed != 1:
        raise ValueError(f"slice {slice_id} is not open")


def finish_publish(
    db: sqlite3.Connection, slice_id: int, failed: Iterable[FailureRecord] = (), realm: str = ""
) -> None:
    """The part stands under its name: the slice's rows leave the ledger, what `failed` in a realm is counted."""
    found = db.execute("SELECT publishing, replaces FROM slices WHERE id = ?", (slice_id,)).fetchone()
    if found is None or found[0] is None:
        raise ValueError(f"slice {slice_id} is not being published")
    refuse_in_flight(db, slice_id)
    failures.forget_answered(db, *_range(slice_id))
    failures.count(db, failed, realm)
    db.execute("DELETE FROM rows WHERE key BETWEEN ? AND ?", _range(slice_id))
    db.execute("DELETE FROM attempts WHERE key BETWEEN ? AND ?", _range(slice_id))
    db.execute("DELETE FROM lifted WHERE part_id = ?", (found[1],))
    db.execute("DELETE FROM slices WHERE id = ?", (slice_id,))


def recover(db: sqlite3.Connection, standing: Mapping[str, str]) -> Recovery:
    """Put right what a dead process left: publishing half done, requests of unknown fate.

    `standing` maps the names of the parts that stand to their part ids.
    """
    doubts = _doubt(db)
    published, unpublished = [], []
    for slice_id, name, publishing in db.execute(
        "SELECT id, name, publishing FROM slices WHERE publishing IS NOT NULL ORDER BY name"
    ).fetchall():
        if standing.get(name) == publishing:
            finish_publish(db, slice_id)
            published.append(name)
        else:
            db.execute("UPDATE slices SET publishing = NULL, replaces = NULL WHERE id = ?", (slice_id,))
            unpublished.append(name)
    by_slice: dict[str, list[int]] = defaultdict(list)
    for name, row, _, _ in doubts:
        by_slice[name].append(row)
    return Recovery(
        in_doubt=len(doubts),
        worst_pico=sum(pico for _, _, pico, _ in doubts),
        worst_tokens=sum(tokens for _, _, _, tokens in doubts),
        by_slice={name: tuple(rows) for name, rows in by_slice.items()},
        published=tuple(published),
        unpublished=tuple(unpublished),
    )


def _doubt(db: sqlite3.Connection) -> list[tuple[str, int, int, int]]:
    """Book open attempts at their worst case; returns (slice's name, row, pico, tokens) of each."""
    found = db.execute(
        "SELECT key, run_id, sent_at, worst_pico, worst_tokens, name FROM attempts "
        "JOIN slices ON slices.id = key >> ? WHERE state = ? ORDER BY key",
        (ROW_BITS, OPEN),
    ).fetchall()
    db.executemany(
        BOOK, [(run, at // QUARTER_US, 1, pico, tokens, 0, 0, 1, pico) for _, run, at, pico, tokens, _ in found]
    )
    db.execute(
        "UPDATE attempts SET state = ?, cost_pico = worst_pico, cost_source = 'estimate' WHERE state = ?", (DOUBT, OPEN)
    )
    mask = (1 << ROW_BITS) - 1
    return [(name, key & mask, pico, tokens) for key, _, _, pico, tokens, name in found]


def _range(slice_id: int) -> tuple[int, int]:
    return slice_id << ROW_BITS, (slice_id + 1 << ROW_BITS) - 1
