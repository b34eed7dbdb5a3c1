"""Counts in how many runs a request failed in the same way, so that it is not sent for ever.

One entry for a fingerprint and realm; it is written when the part that says so stands, and goes when the
request is answered. A ledger of an earlier version has no such table until a run opens it: then no failure
has been counted yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from parquill.ledger.records import FailureRecord

_LOOK = (
    "SELECT fingerprint, kind, runs, counted_at, message FROM failures "
    "WHERE fingerprint = ? AND realm = ? AND runs >= ?"
)
_ANY = "SELECT EXISTS (SELECT 1 FROM failures WHERE realm = ? AND runs >= ?)"


def count(db: sqlite3.Connection, failures: Iterable[FailureRecord], realm: str) -> None:
    """Write entries in place of those with the same fingerprints."""
    db.executemany(
        "INSERT OR REPLACE INTO failures (fingerprint, realm, kind, runs, counted_at, message) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(one.fingerprint, realm, one.kind, one.runs, one.counted_at, one.message) for one in failures],
    )


def forget_answered(db: sqlite3.Connection, first: int, last: int) -> None:
    """Remove the entries of requests that rows with keys from `first` to `last` have an answer to."""
    if db.execute("SELECT EXISTS (SELECT 1 FROM failures)").fetchone()[0]:
        db.execute(
            "DELETE FROM failures WHERE (fingerprint, realm) IN (SELECT rows.fingerprint, runs.realm FROM rows "
            "JOIN runs ON runs.id = run_id WHERE key BETWEEN ? AND ? AND ok = 1)",
            (first, last),
        )


def some(db: sqlite3.Connection, realm: str, runs: int) -> bool:
    """Return whether any request of a realm failed alike in at least so many runs."""
    if not db.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'failures')").fetchone()[0]:
        return False
    return bool(db.execute(_ANY, (realm, runs)).fetchone()[0])


def found(
    db: sqlite3.Connection, fingerprints: Iterable[bytes], realm: str, runs: int = 1
) -> dict[bytes, FailureRecord]:
    """Return the entries that stand under these fingerprints in a realm, of at least so many runs."""
    if not some(db, realm, runs):
        return {}
    rows = (db.execute(_LOOK, (one, realm, runs)).fetchone() for one in fingerprints)
    return {bytes(row[0]): FailureRecord(bytes(row[0]), *row[1:]) for row in rows if row is not None}
