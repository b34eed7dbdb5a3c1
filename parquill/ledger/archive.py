"""Answers that left the output: found again by fingerprint, never paid again.

One entry for a fingerprint and realm: its best payload with that payload's cost, and
`rest_pico`, the costs of others that came under the same fingerprint (failed tries, duplicates).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from parquill.ledger.records import ArchiveEntry, CarriedRow
from parquill.ledger.schema import OPEN, ROW_BITS, SETTLED

# An ok answer is better than a failed one, and of two the one that was paid for.
_BETTER = "(excluded.ok, excluded.cost_pico) > (ok, cost_pico)"
_PUT = f"""
INSERT INTO archive (fingerprint, realm, ok, cost_pico, rest_pico, payload, at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (fingerprint, realm) DO UPDATE SET
    rest_pico = rest_pico + excluded.rest_pico + iif({_BETTER}, cost_pico, excluded.cost_pico),
    payload = iif({_BETTER}, excluded.payload, payload), at = excluded.at,
    ok = iif({_BETTER}, excluded.ok, ok), cost_pico = iif({_BETTER}, excluded.cost_pico, cost_pico)
"""  # noqa: S608 - a constant


def put(db: sqlite3.Connection, entries: Iterable[ArchiveEntry], at: int) -> None:
    """Add entries; `at` dates them."""
    db.executemany(_PUT, (_parameters(entry, at) for entry in entries))


def _parameters(entry: ArchiveEntry, at: int) -> tuple[object, ...]:
    cost, rest = (entry.cost_pico, 0) if entry.payload is not None else (0, entry.cost_pico)
    return (entry.fingerprint, entry.realm, int(entry.ok), cost, rest, entry.payload, at)


def holds(db: sqlite3.Connection, realm: str) -> bool:
    """Whether any answer of this realm could be found at all."""
    found = db.execute("SELECT EXISTS (SELECT 1 FROM archive WHERE realm = ? AND ok = 1)", (realm,)).fetchone()
    return bool(found[0])


def adopt(
    db: sqlite3.Connection, run: int, slice_id: int, wanted: Iterable[tuple[int, bytes]], at: int
) -> dict[int, bytes]:
    """Give archived answers back to rows: each becomes the row's outcome and leaves the archive.

    Its cost moves with it. What the row's own ended attempts cost stays behind in the
    archive, since the payload does not count them.
    """
    (realm,) = db.execute("SELECT realm FROM runs WHERE id = ?", (run,)).fetchone()
    adopted: dict[int, bytes] = {}
    for row, fingerprint in wanted:
        found = db.execute(
            "SELECT id, cost_pico, rest_pico, payload FROM archive WHERE fingerprint = ? AND realm = ? AND ok = 1",
            (fingerprint, realm),
        ).fetchone()
        if found is None:
            continue
        entry, cost, rest, payload = found
        _take(db, entry, rest)
        key = slice_id << ROW_BITS | row
        _archive_attempts(db, key, key, at)
        db.execute("INSERT INTO rows VALUES (?, ?, ?, 1, ?, ?)", (key, run, fingerprint, cost, payload))
        adopted[row] = payload
    return adopted


def _take(db: sqlite3.Connection, entry: int, rest: int) -> None:
    if rest:
        db.execute("UPDATE archive SET ok = 0, cost_pico = 0, payload = NULL WHERE id = ?", (entry,))
    else:
        db.execute("DELETE FROM archive WHERE id = ?", (entry,))


def answers(db: sqlite3.Connection, fingerprints: Iterable[bytes], realm: str) -> dict[bytes, bytes]:
    """Return the encoded answers of a realm that stand under these fingerprints; nothing moves."""
    query = "SELECT payload FROM archive WHERE fingerprint = ? AND realm = ? AND ok = 1"
    found = ((one, db.execute(query, (one, realm)).fetchone()) for one in fingerprints)
    return {one: bytes(row[0]) for one, row in found if row is not None}


def rename(db: sqlite3.Connection, names: Iterable[tuple[bytes, bytes]], realm: str, at: int) -> None:
    """Put what stands under fingerprints of a realm under others, which nothing asks for; pairs (old, new)."""
    for old, new in names:
        found = db.execute(
            "DELETE FROM archive WHERE fingerprint = ? AND realm = ? RETURNING ok, cost_pico, rest_pico, payload",
            (old, realm),
        ).fetchone()
        if found is not None:
            ok, cost, rest, payload = found
            entries = [ArchiveEntry(new, realm, False, rest, None)] if rest else []
            put(db, [ArchiveEntry(new, realm, bool(ok), cost, payload), *entries], at)


def retire(db: sqlite3.Connection, slice_id: int, at: int) -> int:
    """Move all that the ledger holds for a slice into the archive; returns how many outcomes.

    Raises `ValueError` while one of its requests is in flight.
    """
    first, last = slice_id << ROW_BITS, (slice_id + 1 << ROW_BITS) - 1
    refuse_in_flight(db, slice_id)
    rows = db.execute(
        "SELECT fingerprint, realm, ok, cost_pico, payload FROM rows JOIN runs ON runs.id = run_id "
        "WHERE key BETWEEN ? AND ?",
        (first, last),
    ).fetchall()
    put(db, (ArchiveEntry(print_, realm, bool(ok), cost, payload) for print_, realm, ok, cost, payload in rows), at)
    _archive_attempts(db, first, last, at)
    db.execute("DELETE FROM rows WHERE key BETWEEN ? AND ?", (first, last))
    db.execute("DELETE FROM slices WHERE id = ?", (slice_id,))
    return len(rows)


def _archive_attempts(db: sqlite3.Connection, first: int, last: int, at: int) -> None:
    """Costs of attempts that came to nothing stay in the books, under their fingerprint."""
    found = db.execute(
        "SELECT fingerprint, realm, sum(cost_pico) FROM attempts JOIN runs ON runs.id = run_id "
        "WHERE key BETWEEN ? AND ? GROUP BY fingerprint, realm HAVING sum(cost_pico) > 0",
        (first, last),
    ).fetchall()
    put(db, (ArchiveEntry(print_, realm, False, cost, None) for print_, realm, cost in found), at)
    db.execute("DELETE FROM attempts WHERE key BETWEEN ? AND ?", (first, last))


def refuse_in_flight(db: sqlite3.Connection, slice_id: int) -> None:
    """Raise `ValueError` when a request of the slice is still on its way: its cost would be lost."""
    first, last = slice_id << ROW_BITS, (slice_id + 1 << ROW_BITS) - 1
    (flying,) = db.execute(
        "SELECT count(*) FROM attempts WHERE key BETWEEN ? AND ? AND state = ?", (first, last, OPEN)
    ).fetchone()
    if flying:
        raise ValueError(f"slice {slice_id} has {flying} requests in flight")


def lift(
    db: sqlite3.Connection,
    part_id: str,
    archived: Iterable[tuple[int, ArchiveEntry]],
    carried: Iterable[tuple[int, CarriedRow]],
    at: int,
) -> int:
    """Take rows of a standing part into archive or ledger; from then on they do not count in it.

    A row that was lifted before is left as it is. Returns the pico-USD that moved.
    """
    bits = bytearray(_bitmap(db, part_id))
    entries = [entry for row, entry in archived if _mark(bits, row)]
    rows = [row for at_row, row in carried if _mark(bits, at_row)]
    put(db, entries, at)
    db.executemany(
        "INSERT INTO attempts (key, number, run_id, fingerprint, worst_pico, worst_tokens, sent_at, state, cost_pico, "
        "cost_source, prompt_tokens, completion_tokens, cached_tokens, upstream_pico) "
        "VALUES (?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
        (_carried(row, at) for row in rows),
    )
    moved = sum(entry.cost_pico for entry in entries) + sum(row.cost_pico for row in rows)
    db.execute(
        "INSERT INTO lifted VALUES (?, ?, ?) ON CONFLICT (part_id) DO UPDATE SET "
        "cost_pico = cost_pico + excluded.cost_pico, rows = excluded.rows",
        (part_id, moved, bytes(bits)),
    )
    return moved


def _carried(row: CarriedRow, at: int) -> tuple[object, ...]:
    key = row.slice_id << ROW_BITS | row.row
    return (key, row.attempts, row.run, row.fingerprint, at, SETTLED, row.cost_pico, row.cost_source,
            row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.upstream_pico)  # fmt: skip


def forget_part(db: sqlite3.Connection, part_id: str) -> None:
    """The part's file is gone: what was lifted from it need not be known any more."""
    db.execute("DELETE FROM lifted WHERE part_id = ?", (part_id,))


def _bitmap(db: sqlite3.Connection, part_id: str) -> bytes:
    found = db.execute("SELECT rows FROM lifted WHERE part_id = ?", (part_id,)).fetchone()
    return bytes(found[0]) if found else b""


def _mark(bits: bytearray, row: int) -> bool:
    """Set a row's bit; False when it was set before."""
    at, bit = row >> 3, 1 << (row & 7)
    if at >= len(bits):
        bits.extend(bytes(at + 1 - len(bits)))
    if bits[at] & bit:
        return False
    bits[at] |= bit
    return True


def lifted_rows(db: sqlite3.Connection, part_id: str) -> Sequence[int]:
    """Rows of a part that were lifted out of it, in order."""
    bits = _bitmap(db, part_id)
    return [at * 8 + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte & 1 << bit]
