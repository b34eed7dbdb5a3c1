"""Interface through which the planner reads the ledger and archives rows that it did not match.

A run moves such rows into the archive (`LedgerArchive`). A dry run uses `DryArchive`, which writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from parquill.endpoint import is_emulated, realm_of
from parquill.ledger import ArchiveEntry, FailureRecord, Ledger, SliceRecord
from parquill.results import ItemResult, Status


class ArchiveAccess(Protocol):
    """Where the planner finds and leaves rows of older runs."""

    def slices(self) -> Sequence[SliceRecord]:
        """Return the ledger's open slices."""

    def answered(self, slice_id: int) -> Mapping[int, bytes | None]:
        """Return a slice's rows that have an outcome, with the fingerprint where that is an answer."""

    def retire(self, slice_id: int) -> None:
        """Take the outcomes of a slice that is another now."""

    def lifted_rows(self, part_id: str) -> Sequence[int]:
        """Return the rows of a part that were taken out of it before."""

    def lift(self, part_id: str, entries: Iterable[tuple[int, ArchiveEntry]]) -> None:
        """Take rows (with their number in that part) that have no place in the output any more."""

    def archived(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the encoded answers that stand in the archive under these fingerprints."""

    def failures(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, FailureRecord]:
        """Return in how many runs the requests with these fingerprints failed alike, where that was counted."""

    def rename_archived(self, names: Sequence[tuple[bytes, bytes]]) -> None:
        """Put archived answers under other fingerprints, so that no row finds them; pairs (old, new)."""


class LedgerArchive:
    """The run's own: rows go into the ledger's archive, durably."""

    def __init__(self, ledger: Ledger, realm: str) -> None:
        self._ledger = ledger
        self._realm = realm

    def slices(self) -> Sequence[SliceRecord]:
        """Return the slices that the ledger holds rows of."""
        return self._ledger.slices().result()

    def answered(self, slice_id: int) -> Mapping[int, bytes | None]:
        """Return the rows of a slice that have an outcome, with the fingerprints of answered ones."""
        return self._ledger.answered(slice_id).result()

    def retire(self, slice_id: int) -> None:
        """Move a slice's outcomes into the archive."""
        self._ledger.retire(slice_id).result()

    def lifted_rows(self, part_id: str) -> Sequence[int]:
        """Return the rows of a part that were taken out of it."""
        return self._ledger.lifted_rows(part_id).result()

    def lift(self, part_id: str, entries: Iterable[tuple[int, ArchiveEntry]]) -> None:
        """Take rows out of a part into the archive."""
        self._ledger.lift(part_id, entries).result()

    def archived(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the archived answers to these fingerprints."""
        return self._ledger.archived(fingerprints, self._realm).result()

    def failures(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, FailureRecord]:
        """Return in how many runs these requests failed alike."""
        return self._ledger.failures(fingerprints, self._realm).result() if fingerprints else {}

    def rename_archived(self, names: Sequence[tuple[bytes, bytes]]) -> None:
        """Give archived answers their new fingerprints, each as (old, new)."""
        self._ledger.rename_archived(names, self._realm).result()


def archive_entry(result: ItemResult) -> ArchiveEntry:
    """An older result as it goes to the archive; of a failure only the cost is kept."""
    ok = result.status is Status.OK
    return ArchiveEntry(
        fingerprint=result.fingerprint or b"",
        realm=realm_of(emulated=is_emulated(result.provider)),
        ok=ok,
        cost_pico=result.cost_pico or 0,
        payload=result.encode() if ok else None,
    )
