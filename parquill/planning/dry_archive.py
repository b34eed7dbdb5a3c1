"""Dry-run archive: records which answers a run would move, and writes nothing."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from parquill.ledger import ArchiveEntry, FailureRecord, ReadOnlyLedger, SliceRecord


class DryArchive:
    """Dry-run archive: records which answers would move, writes nothing."""

    def __init__(self, recorded: ReadOnlyLedger | None, realm: str) -> None:
        self._recorded = recorded
        self._realm = realm
        self._archived = recorded is not None and recorded.archive_holds(realm)
        self._moved = array("Q")
        self._renamed: set[bytes] = set()
        self._in_order = True

    def slices(self) -> Sequence[SliceRecord]:
        """Return the slices that the ledger holds rows of."""
        return self._recorded.slices() if self._recorded else ()

    def answered(self, slice_id: int) -> Mapping[int, bytes | None]:
        """Return the rows of a slice that have an outcome, without those that would move."""
        assert self._recorded is not None
        return self._recorded.answered(slice_id)

    def retire(self, slice_id: int) -> None:
        """Note the answers that would move into the archive."""
        assert self._recorded is not None
        self._take(self._recorded.answers(slice_id, self._realm))

    def lifted_rows(self, part_id: str) -> Sequence[int]:
        """Return the rows of a part that were taken out of it."""
        return self._recorded.lifted_rows(part_id) if self._recorded else ()

    def lift(self, part_id: str, entries: Iterable[tuple[int, ArchiveEntry]]) -> None:
        """Note the answers that would be taken out of a part."""
        del part_id
        self._take(entry.fingerprint for _, entry in entries if entry.ok and entry.realm == self._realm)

    def holds(self, fingerprint: bytes) -> bool:
        """Whether the archive would hold an answer when the run begins."""
        if fingerprint in self._renamed:
            return False
        if self._moved and self._has_moved(int.from_bytes(fingerprint[:8], "little")):
            return True
        return self._archived and self._recorded is not None and self._recorded.archived(fingerprint, self._realm)

    def failures(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, FailureRecord]:
        """Return in how many runs these requests failed alike."""
        return self._recorded.failures(fingerprints, self._realm) if self._recorded and fingerprints else {}

    def archived(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return nothing: whether pictures of archived answers changed is left to the run."""
        return {}

    def rename_archived(self, names: Sequence[tuple[bytes, bytes]]) -> None:
        """Note which archived answers would get another fingerprint."""
        self._renamed.update(old for old, _ in names)

    def _take(self, fingerprints: Iterable[bytes]) -> None:
        """Remember 64 bits of each: a changed prompt moves every row of an output."""
        self._moved.extend(int.from_bytes(fingerprint[:8], "little") for fingerprint in fingerprints)
        self._in_order = False

    def _has_moved(self, key: int) -> bool:
        if not self._in_order:
            self._moved = array("Q", np.sort(np.frombuffer(self._moved, np.uint64)).tobytes())
            self._in_order = True
        at = bisect.bisect_left(self._moved, key)
        return at < len(self._moved) and self._moved[at] == key
