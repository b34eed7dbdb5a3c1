"""The plan of a run as values: which slices are complete, and what the others can keep.

complete  same digest, nothing left to ask: the part stays, byte for byte
open      everything else; for each of its rows the plan knows whether an older part holds
          it (`kept_at`), and which attempts of earlier runs count on (`carried`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from parquill.errors import PASSING_KINDS
from parquill.job import Job
from parquill.ledger import SliceRecord
from parquill.manifest import Manifest, Slice
from parquill.planning.fingerprint_index import FingerprintIndex
from parquill.planning.rows import RowReader
from parquill.results import ItemResult, PartInfo


@dataclass(frozen=True, slots=True)
class OpenSlice:
    """A slice whose part has to be written; `number` is its place among the manifest's slices."""

    slice: Slice
    number: int
    digest: str
    old: PartInfo | None = None
    kept_at: np.ndarray[Any, Any] | None = None
    """For each row its row in the old part, -1 where that holds nothing to keep."""
    carried: Mapping[int, tuple[int, ItemResult]] = field(default_factory=dict)
    """Rows that are asked again, with what the old part (at that row) says was spent on them."""
    stands: bool = False
    """The old part is still true of every row, if not the last word: it may stay when the run stops."""
    held: int | None = None
    """The ledger's slice with outcomes of an earlier process, where there is one."""
    renamed: Sequence[bytes | None] | None = None
    """The rows' fingerprints, where the old part is of an earlier version and names them otherwise."""

    def ledger_digest(self, realm: str) -> str:
        """By which digest the ledger knows this state of the slice."""
        return f"{self.digest}{realm}"

    def keeps(self, row: int) -> bool:
        """Whether the old part's row stands for this one."""
        return self.kept_at is not None and bool(self.kept_at[row] >= 0)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run has to do, and what it need not."""

    job: Job
    manifest: Manifest
    reader: RowReader
    settings: str
    complete: Mapping[int, PartInfo]
    open: tuple[OpenSlice, ...]
    orphans: tuple[PartInfo, ...]
    """Parts whose slice is no more: removed when the new set stands."""
    kept_ok: int
    kept_errors: Mapping[str, int]
    index: FingerprintIndex | None = None
    """Answered fingerprints by slice and row; None where nothing is left to ask."""

    @property
    def left_errors(self) -> Mapping[str, int]:
        """Kept failures of kinds that may pass: they failed alike in `retry.max_runs` runs."""
        return {kind: count for kind, count in self.kept_errors.items() if kind in PASSING_KINDS}

    @property
    def todo(self) -> int:
        """Rows that no part of the output answers yet."""
        return self.manifest.rows - self.kept_ok - sum(self.kept_errors.values())


def as_open(one: Slice, number: int, info: PartInfo) -> OpenSlice:
    """Return a slice that is complete, in this part, as one whose every row is kept."""
    return OpenSlice(one, number, info.slice_digest, info, np.arange(one.rows, dtype=np.int32), stands=True)


def held_in(records: Sequence[SliceRecord], slices: Sequence[OpenSlice], realm: str) -> list[OpenSlice]:
    """Return the slices with what the ledger, of these records, holds of each in a realm."""
    ids = {(record.name, record.digest): record.id for record in records}
    return [replace(one, held=ids.get((one.slice.part, one.ledger_digest(realm)))) for one in slices]
