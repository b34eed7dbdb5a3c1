"""The plan of a run: which slices stand as they are, and what the others can keep.

    scan      one pass over the manifest: a digest of every slice
    parts     the footers of the parts that stand in the output
    complete  same digest, nothing left to ask: the part stays, byte for byte
    open      everything else; for each of its rows the plan knows whether an older part holds
              it (`kept_at`), and which attempts of earlier runs count on (`carried`)

Rows of an older part that found no place in its slice (edited, moved, gone from the
manifest, or of the emulator's realm) are lifted into the archive first, in one transaction
for each part: from then on their cost counts there and no longer in the part, and wherever
they turn up in the manifest they are found again by fingerprint.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from parquill.batch.endpoint import EMULATOR
from parquill.batch.index import FingerprintIndex
from parquill.batch.prepare import Prepared
from parquill.batch.rows import RowReader
from parquill.batch.scan import scan
from parquill.batch.shelf import Shelf, archive_entry
from parquill.errors import PASSING_KINDS, ErrorKind, ManifestError, OutputError
from parquill.job import Job
from parquill.ledger import SliceRecord
from parquill.manifest import Manifest, Slice
from parquill.results import ItemResult, PartInfo, Status, read_part, read_part_info, results_in
from parquill.storage import Storage

FORMAT = 1
"""Of digests: raised when the same manifest would give other parts."""

_MATCHED = ("fingerprint", "status", "error_kind", "provider", "attempts")


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
    def todo(self) -> int:
        """Rows that no part of the output answers yet."""
        return self.manifest.rows - self.kept_ok - sum(self.kept_errors.values())


@dataclass(frozen=True, slots=True)
class Retry:
    """Which failed rows are asked again: those that may pass, and the kinds a user names."""

    kinds: frozenset[ErrorKind] = frozenset()

    def wants(self, kind: str | None) -> bool:
        """Whether a row that failed so is asked again."""
        return kind in PASSING_KINDS or kind in self.kinds


class Planner:
    """Plans one run over an output; reads and moves, but sends nothing."""

    def __init__(self, opened: Prepared, output: Storage) -> None:
        self._job = opened.job
        self._manifest = opened.manifest
        self._reader = opened.reader
        self._output = output
        self._settings = opened.asking.settings_digest
        self._schema = opened.schema
        self._emulated = False
        self._retry = Retry()

    def standing(self) -> dict[str, PartInfo]:
        """Read the footers of the output's parts; raises `OutputError` for a foreign file."""
        parts = {}
        for entry in self._output.files():
            if entry.name.endswith(".parquet"):
                info = parts[entry.name] = read_part_info(self._output, entry.name)
                owner = info.meta.get("job")
                if owner != self._job.name:
                    raise OutputError(
                        f"{self._output.where(entry.name)}: this output belongs to the job {owner!r}, not to "
                        f"{self._job.name!r}: choose another output.path, or give the job its old name"
                    )
        return parts

    def plan(
        self,
        parts: Mapping[str, PartInfo],
        shelf: Shelf,
        *,
        emulated: bool,
        retry: Retry,
        allow_shrink: bool,
    ) -> RunPlan:
        """Match manifest and output. `emulated`: whether answers of the emulator are taken over."""
        self._emulated, self._retry = emulated, retry
        self._refuse_shrunk(parts, allow_shrink=allow_shrink)
        digests = self.digests()
        complete: dict[int, PartInfo] = {}
        open_slices: list[OpenSlice] = []
        for number, one in enumerate(self._manifest.slices):
            info = parts.get(one.part)
            if info is not None and self._is_complete(info, digests[one.part]) and not shelf.lifted_rows(info.part_id):
                complete[number] = info
            else:
                open_slices.append(OpenSlice(one, number, digests[one.part], old=info))
        wanted = {one.part for one in self._manifest.slices}
        orphans = tuple(info for name, info in parts.items() if name not in wanted)
        open_slices = self._held(shelf, open_slices)
        matched = tuple(sorted(self._match_all(open_slices, shelf), key=lambda one: one.number))
        for orphan in orphans:
            self._lift(shelf, orphan, results_in(orphan, read_part(self._output, orphan.name)), range(orphan.rows))
        kept_ok, kept_errors = self._kept(complete, matched)
        plan = RunPlan(
            self._job, self._manifest, self._reader, self._settings, complete, matched, orphans, kept_ok, kept_errors
        )
        return plan if not matched else self.indexed(plan, shelf)

    def unfinished(self, parts: Mapping[str, PartInfo], *, emulated: bool, retry: Retry) -> tuple[Slice, ...]:
        """Return the slices whose part is missing or not its last word; looks only, moves nothing."""
        self._emulated, self._retry = emulated, retry
        digests = self.digests()
        return tuple(
            one
            for one in self._manifest.slices
            if (info := parts.get(one.part)) is None or not self._is_complete(info, digests[one.part])
        )

    def digests(self) -> Mapping[str, str]:
        """Return the digest of every slice; raises `ManifestError` for bad ids."""
        settings = f"{FORMAT}:{self._settings}:{self._schema}".encode()
        columns = self._manifest.columns.needed(self._reader.columns)
        return scan(self._manifest, columns, settings=settings, stamp=self._reader.stamp).digests

    def _held(self, shelf: Shelf, open_slices: Sequence[OpenSlice]) -> list[OpenSlice]:
        """Join slices and ledger; there, outcomes of slices that are others now move to the archive."""
        records = shelf.slices()
        joined = held_in(records, open_slices, EMULATOR if self._emulated else "")
        ours = {one.held for one in joined}
        for record in records:
            if record.id not in ours:
                shelf.retire(record.id)
        return joined

    def _refuse_shrunk(self, parts: Mapping[str, PartInfo], *, allow_shrink: bool) -> None:
        before, now = sum(info.rows for info in parts.values()), self._manifest.rows
        if now * 2 < before and not allow_shrink:
            raise ManifestError(
                f"{self._job.manifest.path}: the manifest has {now:,} rows, the output {before:,}: more than half "
                "would leave the table. If that is meant, run again with --allow-shrink"
            )

    def _is_complete(self, info: PartInfo, digest: str) -> bool:
        asked_again = any(self._retry.wants(kind) for kind in info.by_error_kind)
        return info.slice_digest == digest and info.not_attempted == 0 and self._is_ours(info) and not asked_again

    def _is_ours(self, info: PartInfo) -> bool:
        """Whether a part is of this run's realm: also its failures and attempts are then this run's own."""
        return info.meta.get("realm") == (EMULATOR if self._emulated else "")

    def _match_all(self, slices: Sequence[OpenSlice], shelf: Shelf) -> Iterator[OpenSlice]:
        """Find for each open slice what its old part holds for it; the rest of that part is lifted."""
        moved: dict[str, OpenSlice] = {}
        for one in slices:
            if one.old is None:
                yield one
            elif one.old.slice_digest == one.digest:
                yield self._match(one, one.old, shelf, None)
            else:
                moved[one.slice.part] = one
        columns = self._manifest.columns.needed(self._reader.columns)
        chunks = self._manifest.read(columns, set(moved)) if moved else iter(())
        for part, its in itertools.groupby(chunks, key=lambda chunk: chunk.slice.part):
            one = moved[part]
            assert one.old is not None
            fingerprints: list[bytes | None] = []
            keys: list[Any] = []
            for chunk in its:
                fingerprints += self._reader.read_together(chunk).fingerprints
                keys += self._manifest.keys(chunk).to_pylist()
            yield self._match(one, one.old, shelf, (fingerprints, keys))

    def _match(
        self,
        one: OpenSlice,
        old: PartInfo,
        shelf: Shelf,
        rows: tuple[list[bytes | None], list[Any]] | None,
    ) -> OpenSlice:
        """`rows` is None where the slice itself did not change: every row is in its old place."""
        table = read_part(self._output, old.name)
        results = results_in(old, table)
        lifted = set(shelf.lifted_rows(old.part_id))
        if not self._is_ours(old):
            places: list[int | None] = [None] * one.slice.rows
        elif rows is None:
            places = [row if row not in lifted else None for row in range(old.rows)]
        else:
            by_key = self._rows_by_key(table)
            places = [
                self._place(fingerprint, by_key.get(key), results, lifted)
                for fingerprint, key in zip(*rows, strict=True)
            ]
        kept_at = np.full(one.slice.rows, -1, np.int32)
        carried: dict[int, tuple[int, ItemResult]] = {}
        used: set[int] = set()
        for row, place in enumerate(places):
            if place is None:
                continue
            result = results[place]
            if self._keeps(result):
                kept_at[row] = place
            elif result.status is Status.OK:
                continue
            elif result.attempts:
                carried[row] = (place, result)
            used.add(place)
        self._lift(shelf, old, results, (row for row in range(old.rows) if row not in used and row not in lifted))
        stands = rows is None and not shelf.lifted_rows(old.part_id)
        return replace(one, kept_at=kept_at, carried=carried, stands=stands)

    def _rows_by_key(self, table: pa.Table) -> dict[Any, int]:
        """An older part's rows by key; none where the job named another key then."""
        name = self._manifest.columns.key.name
        if name not in table.column_names:
            return {}
        return {key: row for row, key in enumerate(table.column(name).to_pylist())}

    def _place(
        self, fingerprint: bytes | None, place: int | None, results: Sequence[ItemResult], lifted: Collection[int]
    ) -> int | None:
        if place is None or place in lifted:
            return None
        theirs = results[place].fingerprint
        untouched = theirs is None and results[place].status is Status.NOT_ATTEMPTED
        return place if theirs == fingerprint or untouched else None

    def _keeps(self, result: ItemResult) -> bool:
        if result.status is Status.OK:
            return (result.provider == EMULATOR) == self._emulated
        return result.status is Status.FAILED and not self._retry.wants(result.error_kind)

    def _lift(self, shelf: Shelf, old: PartInfo, results: Sequence[ItemResult], rows: Iterator[int] | range) -> None:
        """Move rows' answers and costs from a part that will go into the archive."""
        entries = [
            (row, archive_entry(results[row]))
            for row in rows
            if results[row].status is Status.OK or results[row].cost_pico
        ]
        if entries:
            shelf.lift(old.part_id, entries)

    def _kept(self, complete: Mapping[int, PartInfo], matched: Sequence[OpenSlice]) -> tuple[int, dict[str, int]]:
        ok = sum(info.ok for info in complete.values())
        errors: dict[str, int] = {}
        for info in complete.values():
            for kind, count in info.by_error_kind.items():
                errors[kind] = errors.get(kind, 0) + count
        for one in matched:
            for failure in self._kept_kinds(one):
                if failure is None:
                    ok += 1
                else:
                    errors[failure] = errors.get(failure, 0) + 1
        return ok, errors

    def _kept_kinds(self, one: OpenSlice) -> Iterator[str | None]:
        if one.old is None or one.kept_at is None or not (one.kept_at >= 0).any():
            return
        kinds = read_part(self._output, one.old.name, ["error_kind"]).column("error_kind")
        yield from kinds.take(pa.array(one.kept_at[one.kept_at >= 0])).to_pylist()

    def indexed(self, plan: RunPlan, shelf: Shelf) -> RunPlan:
        """Return a plan that knows where each answered fingerprint stands: equal rows are not paid again."""
        index = FingerprintIndex(self._manifest.rows)
        open_slices = {one.number: one for one in plan.open}
        for number in range(len(self._manifest.slices)):
            one = open_slices.get(number)
            info = one.old if one is not None else plan.complete[number]
            if info is None or (one is not None and (one.kept_at is None or not (one.kept_at >= 0).any())):
                continue
            table = read_part(self._output, info.name, ["fingerprint", "status"])
            if one is not None and one.kept_at is not None:
                rows = np.flatnonzero(one.kept_at >= 0)
                table = table.take(pa.array(one.kept_at[rows]))
            else:
                rows = np.arange(info.rows)
            told = zip(
                rows.tolist(), *(table.column(name).to_pylist() for name in ("fingerprint", "status")), strict=True
            )
            answered = [(bytes.fromhex(mark), row) for row, mark, status in told if mark and status == Status.OK.value]
            if answered:
                index.claim_all([mark for mark, _ in answered], number, [row for _, row in answered])
        for one in plan.open:
            for row, fingerprint in shelf.answered(one.held).items() if one.held is not None else ():
                if fingerprint is not None:
                    index.claim(fingerprint, one.number, row)
        return replace(plan, index=index)


def held_in(records: Sequence[SliceRecord], slices: Sequence[OpenSlice], realm: str) -> list[OpenSlice]:
    """Return the slices with what the ledger, of these records, holds of each in a realm."""
    ids = {(record.name, record.digest): record.id for record in records}
    return [replace(one, held=ids.get((one.slice.part, one.ledger_digest(realm)))) for one in slices]
