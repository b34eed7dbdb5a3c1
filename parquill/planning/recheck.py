"""Rows that Parquill refused before anything was sent: each run judges them again, since that is free.

The reason may be gone: a setting changed (`images.allow_ports`), or a host repaired its picture. So their pictures
and documents are checked again, as the run would check them. A row that would be asked now is asked. One refused
for another reason is written again with the new reason. Any other row stays as it is, and its part with it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from parquill.errors import ErrorKind, RowError
from parquill.planning.archive_access import ArchiveAccess
from parquill.planning.planner import Planner
from parquill.planning.preparation import Prepared
from parquill.planning.rows import PreparedRow
from parquill.planning.run_plan import OpenSlice, RunPlan, as_open
from parquill.planning.selection import Selection
from parquill.results import PartInfo, read_part
from parquill.storage import Storage
from parquill.threads import Wait

JUDGED_HERE = frozenset(
    {ErrorKind.BAD_ROW, ErrorKind.IMAGE_REFUSED, ErrorKind.IMAGE_INVALID, ErrorKind.DOCUMENT_INVALID}
)
"""Kinds that are found without a request; an endpoint may find them, too, and then the row has attempts."""

_AT_ONCE = 64
_COLUMNS = ("error_kind", "error_message", "attempts")

Said = tuple[str, str]
"""The kind and the message of a refusal."""


class Recheck:
    """Judges refused rows of one output; used on a thread of its own."""

    def __init__(self, opened: Prepared, output: Storage, *, wait: Wait[list[Said | None]]) -> None:
        self._manifest = opened.manifest
        self._reader = opened.reader
        self._images = opened.images
        self._output = output
        self._wait = wait
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def judged(
        self, plan: RunPlan, planner: Planner, archive: ArchiveAccess, chosen: Selection, *, rewrites: bool = True
    ) -> RunPlan:
        """Return the plan in which those of the `chosen` rows that would be asked now are asked.

        Args:
            plan: what was planned, refused rows kept.
            planner: who planned it.
            archive: where the planner finds rows of older runs.
            chosen: the rows that the command asks.
            rewrites: whether rows that are refused for another reason now are open, too.
        """
        open_slices = {one.number: one for one in plan.open}
        slices = {**self._as_open(plan.complete), **open_slices}
        gone: Counter[str] = Counter()
        rows: dict[int, list[int]] = {}
        for number, row, before, now in self._changed(slices, chosen):
            if now is None or rewrites:
                rows.setdefault(number, []).append(row)
                gone[before[0]] += 1
        if not rows:
            return plan
        complete = {number: info for number, info in plan.complete.items() if number not in rows}
        reopened = {number: _without(slices[number], its) for number, its in rows.items()}
        merged = tuple(one for _, one in sorted({**open_slices, **reopened}.items()))
        errors = dict(Counter(plan.kept_errors) - gone)
        return planner.indexed(replace(plan, complete=complete, open=merged, kept_errors=errors), archive)

    def would_ask(self, complete: Mapping[int, PartInfo]) -> set[int]:
        """Return the numbers of those complete slices of which refused rows would be asked now."""
        return {number for number, _, _, now in self._changed(self._as_open(complete), Selection()) if now is None}

    def _as_open(self, complete: Mapping[int, PartInfo]) -> dict[int, OpenSlice]:
        slices = self._manifest.slices
        return {number: as_open(slices[number], number, info) for number, info in complete.items() if _may_hold(info)}

    def _changed(
        self, slices: Mapping[int, OpenSlice], chosen: Selection
    ) -> Iterator[tuple[int, int, Said, Said | None]]:
        """Yield slice, row, what was said of it, and what is said now, where that is not the same."""
        numbers = {one.slice.part: number for number, one in slices.items() if _is_wanted(one, chosen)}
        columns = self._manifest.columns.needed(self._reader.columns)
        chunks = self._manifest.read(columns, set(numbers)) if numbers else iter(())
        for part, its in itertools.groupby(chunks, key=lambda chunk: chunk.slice.part):
            one = slices[numbers[part]]
            before = self._refused_in(one, chosen)
            for chunk in its if before else ():
                rows = list(self._reader.read(chunk, before.keys()))
                for row, now in zip(rows, self._wait(self._judge_all(rows)) if rows else (), strict=True):
                    if now != before[row.row] and (now is None or now[0] in JUDGED_HERE):
                        yield one.number, row.row, before[row.row], now

    def _refused_in(self, one: OpenSlice, chosen: Selection) -> dict[int, Said]:
        """The rows of a slice that stand as refused here, with what was said of them."""
        if one.old is None or one.kept_at is None:
            return {}
        table = read_part(self._output, one.old.name, _COLUMNS)
        kinds, messages, attempts = (table.column(name).to_pylist() for name in _COLUMNS)
        rows = ((row, int(one.kept_at[row])) for row in chosen.rows(one.slice, 0, one.slice.rows))
        return {
            row: (kinds[at], messages[at] or "")
            for row, at in rows
            if at >= 0 and kinds[at] in JUDGED_HERE and not attempts[at]
        }

    async def _judge_all(self, rows: Sequence[PreparedRow]) -> list[Said | None]:
        return await asyncio.gather(*map(self._judge, rows))

    async def _judge(self, row: PreparedRow) -> Said | None:
        """What is said of a row before it is sent; None where it would be."""
        try:
            if row.fault is not None:
                raise row.fault
            async with self._turn:
                await self._images.parts(row.pictures)
                if row.documents:
                    await self._images.document_parts(row.documents)
        except RowError as fault:
            return fault.kind.value, fault.message
        return None


def _may_hold(part: PartInfo) -> bool:
    return any(kind in JUDGED_HERE for kind in part.by_error_kind)


def _is_wanted(one: OpenSlice, chosen: Selection) -> bool:
    return one.old is not None and _may_hold(one.old) and chosen.touches(one.slice)


def _without(one: OpenSlice, rows: Sequence[int]) -> OpenSlice:
    """A slice that keeps these rows no more."""
    assert one.kept_at is not None
    kept_at = one.kept_at.copy()
    kept_at[list(rows)] = -1
    return replace(one, kept_at=kept_at)
