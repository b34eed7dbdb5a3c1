"""`ReadOnlyLedger`: read-only view of a ledger, while its owner may be at work.

The file is opened read-only: nothing is created, repaired or booked. The view shows one moment's state. Use it for
estimates and reports, never for a decision about money.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from parquill.ledger import accounting, archive, evidence, failures, slices
from parquill.ledger.records import DatedSpend, EvidenceCount, FailureRecord, SliceRecord, Spend
from parquill.ledger.schema import ROW_BITS, ledger_fault


class ReadOnlyLedger:
    """Rows and answers of a ledger, for a plan that does not open it for writing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    @contextlib.contextmanager
    def at(cls, path: Path) -> Iterator[ReadOnlyLedger | None]:
        """Open the ledger at `path` for as long as the context lasts; None where there is none.

        Raises `StorageFaultError` or `OutputError` where it cannot be read.
        """
        if not path.exists():
            yield None
            return
        try:
            # Without a log no process writes: SQLite need not make the files by which readers and writers agree.
            still = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
            uri = f"file:{quote(str(path.absolute()))}?mode=ro{still}"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10.0, check_same_thread=False)) as db:
                yield cls(db)
        except sqlite3.Error as error:
            raise ledger_fault(error, path) from error

    def slices(self) -> list[SliceRecord]:
        """Return all open slices, by name."""
        return slices.all_slices(self._db)

    def answered(self, slice_id: int) -> dict[int, bytes | None]:
        """Return the rows of a slice that have an outcome, with the fingerprint where that is an answer."""
        return slices.answered(self._db, slice_id)

    def attempted(self, slice_id: int) -> set[int]:
        """Return the rows of a slice that were asked and have no outcome."""
        first = slice_id << ROW_BITS
        found = self._db.execute(
            "SELECT DISTINCT key FROM attempts WHERE key BETWEEN ? AND ?", (first, first + (1 << ROW_BITS) - 1)
        )
        return {key - first for (key,) in found}

    def answers(self, slice_id: int, realm: str) -> list[bytes]:
        """Return the fingerprints of a slice's ok answers in a realm."""
        first = slice_id << ROW_BITS
        found = self._db.execute(
            "SELECT fingerprint FROM rows JOIN runs ON runs.id = run_id "
            "WHERE key BETWEEN ? AND ? AND ok = 1 AND realm = ?",
            (first, first + (1 << ROW_BITS) - 1, realm),
        )
        return [bytes(fingerprint) for (fingerprint,) in found]

    def lifted_rows(self, part_id: str) -> Sequence[int]:
        """Return the rows of a standing part that were lifted out of it."""
        return archive.lifted_rows(self._db, part_id)

    def failures(self, marks: Sequence[bytes], realm: str, runs: int = 1) -> dict[bytes, FailureRecord]:
        """Return which requests failed alike in at least so many runs, by fingerprint; `marks` are those looked for."""
        return failures.found(self._db, marks, realm, runs)

    def totals(self) -> Spend:
        """Return what all runs have booked."""
        return accounting.spent_between(self._db, 0, 1 << 60)

    def evidence(self) -> list[EvidenceCount]:
        """Return how many lines each process left in the tables about single requests."""
        return evidence.counts(self._db)

    def spent(self) -> list[DatedSpend]:
        """Return what all runs have booked, by when it was sent."""
        return accounting.spent_since(self._db, 0)

    def archive_holds(self, realm: str) -> bool:
        """Whether any answer of this realm could be found in the archive at all."""
        return archive.holds(self._db, realm)

    def archived(self, fingerprint: bytes, realm: str) -> bool:
        """Whether the archive holds an answer to a fingerprint."""
        found = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM archive WHERE fingerprint = ? AND realm = ? AND ok = 1)", (fingerprint, realm)
        ).fetchone()
        return bool(found[0])
