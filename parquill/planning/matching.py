"""Matches the rows of an output's parts with today's manifest, by key and fingerprint.

A row of an older part may no longer match: it was edited or moved, its settings changed, it left the manifest,
or its answer comes from the emulator. Such rows are moved into the archive, one transaction for each part.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from parquill.endpoint import is_emulated, realm_of
from parquill.manifest import Manifest, Slice
from parquill.planning.archive_access import ArchiveAccess, archive_entry
from parquill.planning.failed_rows import Counts, RetryChoice, counts_of
from parquill.planning.recorded_settings import RecordedSettings
from parquill.planning.rows import RowReader
from parquill.planning.run_plan import OpenSlice
from parquill.results import ItemResult, PartInfo, Status, read_part, results_in
from parquill.storage import Storage


@dataclass(frozen=True, slots=True)
class RowsNow:
    """A slice's rows as they are today: keys, fingerprints, and the fingerprints that an older part names them by."""

    keys: list[Any] = field(default_factory=list)
    fingerprints: list[bytes | None] = field(default_factory=list)
    earlier: list[bytes | None] = field(default_factory=list)


class Audit(Protocol):
    """Takes the answers that lose their place, part by part, before anything moves."""

    def take(
        self, part: PartInfo, one: Slice | None, rows: Iterable[tuple[int, bytes | None]], elsewhere: Iterable[Any]
    ) -> None:
        """Take answers of a part.

        Args:
            part: the part that they stand in.
            one: its slice; None where that is no more.
            rows: today's rows (place in their slice, fingerprint) whose key has an answer in it that does not match.
            elsewhere: the keys of answers that have no row in the part's slice today.
        """


@dataclass(frozen=True, slots=True)
class Matcher:
    """Matches the slices of one plan with the parts that stand."""

    manifest: Manifest
    reader: RowReader
    output: Storage
    recorded: RecordedSettings
    archive: ArchiveAccess
    retry: RetryChoice
    emulated: bool
    """Whether answers of the emulator are taken over."""
    audit: Audit | None = None

    def is_ours(self, part: PartInfo) -> bool:
        """Whether a part is of this run's realm: also its failures and attempts are then this run's own."""
        return part.meta.get("realm") == realm_of(emulated=self.emulated)

    def match_all(self, slices: Sequence[OpenSlice]) -> Iterator[OpenSlice]:
        """Find for each open slice what its old part holds for it; the rest of that part is lifted."""
        moved: dict[str, OpenSlice] = {}
        for one in slices:
            if one.old is None:
                yield one
            elif one.old.slice_digest == one.digest:
                yield self._match(one, one.old, None)
            else:
                moved[one.slice.part] = one
        columns = self.manifest.columns.needed(self.reader.columns)
        chunks = self.manifest.read(columns, set(moved)) if moved else iter(())
        for part, its in itertools.groupby(chunks, key=lambda chunk: chunk.slice.part):
            one = moved[part]
            assert one.old is not None
            reader = self.reader.earlier if self.recorded.names_rows_otherwise(one.old) else None
            now = RowsNow()
            for chunk in its:
                fingerprints = self.reader.read_together(chunk).fingerprints
                now.fingerprints.extend(fingerprints)
                now.earlier.extend(reader.read_together(chunk).fingerprints if reader else fingerprints)
                now.keys.extend(self.manifest.keys(chunk).to_pylist())
            yield self._match(one, one.old, now)

    def lift_all(self, orphan: PartInfo) -> None:
        """Lift every row of a part whose slice is no more."""
        table = read_part(self.output, orphan.name)
        results = results_in(orphan, table)
        if self.audit is not None:
            lifted = set(self.archive.lifted_rows(orphan.part_id))
            keys = self._keys(table)
            gone = [row for row, one in enumerate(results) if one.status is Status.OK and row not in lifted]
            self.audit.take(orphan, None, (), (keys[row] for row in gone if keys))
        self._lift(orphan, results, range(orphan.rows))

    def _match(self, one: OpenSlice, old: PartInfo, now: RowsNow | None) -> OpenSlice:
        """`now` is None where the slice itself did not change: every row is in its old place."""
        table = read_part(self.output, old.name)
        results = results_in(old, table)
        lifted = set(self.archive.lifted_rows(old.part_id))
        same = [row if row not in lifted else None for row in range(old.rows)]
        at_key = same if now is None else self._by_key(table, now.keys, lifted)
        places: list[int | None] = [None] * one.slice.rows
        if self.is_ours(old):
            places = same if now is None else self._places(now, at_key, results)
        counts = counts_of(results, self.archive.failures)
        kept_at = np.full(one.slice.rows, -1, np.int32)
        carried: dict[int, tuple[int, ItemResult]] = {}
        used: set[int] = set()
        for row, place in enumerate(places):
            if place is None:
                continue
            result = results[place]
            if self._keeps(result, counts):
                kept_at[row] = place
            elif result.status is Status.OK:
                continue
            elif result.attempts:
                carried[row] = (place, result)
            used.add(place)
        self._tell(one, old, now, table, results, at_key, used)
        self._lift(old, results, (row for row in range(old.rows) if row not in used and row not in lifted))
        stands = now is None and not self.archive.lifted_rows(old.part_id)
        renamed = now.fingerprints if now is not None and now.earlier != now.fingerprints else None
        return replace(one, kept_at=kept_at, carried=carried, stands=stands, renamed=renamed)

    def _tell(  # noqa: PLR0917 - what is known of one slice at that moment
        self,
        one: OpenSlice,
        old: PartInfo,
        now: RowsNow | None,
        table: pa.Table,
        results: Sequence[ItemResult],
        at_key: Sequence[int | None],
        used: Collection[int],
    ) -> None:
        """Tell the audit which answers lose their place."""
        if self.audit is None:
            return
        lost = {
            place: row
            for row, place in enumerate(at_key)
            if place is not None and place not in used and results[place].status is Status.OK
        }
        prints = [result.fingerprint for result in results] if now is None else now.fingerprints
        keys, here = self._keys(table), {place for place in at_key if place is not None}
        lifted = set(self.archive.lifted_rows(old.part_id))
        others = (
            key
            for place, key in enumerate(keys)
            if place not in here and place not in lifted and results[place].status is Status.OK
        )
        self.audit.take(old, one.slice, [(row, prints[row]) for row in lost.values()], others)

    def _keys(self, table: pa.Table) -> list[Any]:
        """An older part's keys; none where the job named another key then."""
        name = self.manifest.columns.key.name
        return table.column(name).to_pylist() if name in table.column_names else []

    def _by_key(self, table: pa.Table, keys: Sequence[Any], lifted: Collection[int]) -> list[int | None]:
        """For each of today's keys its row in an older part; None where it has none, or was lifted."""
        places = {key: row for row, key in enumerate(self._keys(table)) if row not in lifted}
        return [places.get(key) for key in keys]

    def _places(self, now: RowsNow, at_key: Sequence[int | None], results: Sequence[ItemResult]) -> list[int | None]:
        """The places of rows that ask what they asked then."""
        return [
            place if place is not None and _is_same(results[place], fingerprint) else None
            for place, fingerprint in zip(at_key, now.earlier, strict=True)
        ]

    def _keeps(self, result: ItemResult, counts: Counts) -> bool:
        if result.status is Status.OK:
            return is_emulated(result.provider) == self.emulated
        failed = result.status is Status.FAILED
        return failed and not self.retry.asks(result.error_kind, result.fingerprint, counts)

    def _lift(self, old: PartInfo, results: Sequence[ItemResult], rows: Iterable[int]) -> None:
        """Move rows' answers and costs from a part that will go into the archive."""
        entries = [
            (row, archive_entry(results[row]))
            for row in rows
            if results[row].status is Status.OK or results[row].cost_pico
        ]
        if entries:
            self.archive.lift(old.part_id, entries)


def _is_same(result: ItemResult, fingerprint: bytes | None) -> bool:
    """Whether a row asks now what an older one asked, or never was asked."""
    untouched = result.fingerprint is None and result.status is Status.NOT_ATTEMPTED
    return result.fingerprint == fingerprint or untouched
