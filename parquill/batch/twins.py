"""Answers that need no request: equal rows of this run, of this output, of other outputs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from parquill.batch.account import Account
from parquill.batch.endpoint import EMULATOR
from parquill.batch.index import FingerprintIndex
from parquill.batch.plan import RunPlan
from parquill.batch.slices import SliceWork
from parquill.errors import OutputError
from parquill.job import Job, state_home
from parquill.ledger import Ledger
from parquill.results import (
    CostSource,
    ItemResult,
    PartInfo,
    Status,
    read_part,
    read_part_info,
    results_in,
    weakest,
)
from parquill.storage import Storage, split_glob
from parquill.workspace import Workspace

_TABLES = 4


class PartReader:
    """Single rows of parts; the last few parts stay in memory, since equal rows lie near each other."""

    def __init__(self) -> None:
        self._tables: OrderedDict[tuple[Storage, str, str], pa.Table] = OrderedDict()

    async def row(self, storage: Storage, info: PartInfo, row: int) -> ItemResult | None:
        """Return one row of a part; None where another part stands in its place and is shorter."""
        key = (storage, info.name, info.part_id)
        table = self._tables.pop(key, None)
        if table is None:
            table = await asyncio.to_thread(read_part, storage, info.name)
        self._tables[key] = table
        if len(self._tables) > _TABLES:
            self._tables.popitem(last=False)
        return next(iter(results_in(info, table.slice(row, 1))), None)


class Standing:
    """The answers of this output, wherever they stand by now: memory, old parts, new parts, the ledger."""

    def __init__(self, plan: RunPlan, output: Storage, ledger: Ledger, works: Mapping[int, SliceWork]) -> None:
        self._plan = plan
        self._ledger = ledger
        self._output = output
        self._works = works
        self._reader = PartReader()
        self._open = {one.number: one for one in plan.open}
        self.published: dict[int, PartInfo] = {}
        """Parts written by this run, by the number of their slice."""

    async def result(self, place: tuple[int, int]) -> ItemResult | None:
        """Return the outcome at (slice, row), or None while there is none."""
        number, row = place
        while True:
            work = self._works.get(number)
            if work is not None and (result := work.results[row]) is not None:
                return result
            found = self._part_with(number, row)
            if found is None:
                if work is not None or (result := await self._held(number, row)) is not None:
                    return result
                if number not in self._works and number not in self.published:
                    return None
                continue  # the slice was opened meanwhile: the ledger may have let go of it
            result = await self._reader.row(self._output, *found)
            if self._part_with(number, row) == found and (work is None or not work.is_replacing):
                return result
            # The part was replaced while it was read: what came may be another row's.
            if work is not None:
                await work.published.wait()

    async def _held(self, number: int, row: int) -> ItemResult | None:
        """What an earlier process left in the ledger for a row whose slice has not been opened yet."""
        one = self._open[number]
        if one.held is None:
            return None
        payload = await self._ledger.outcome(one.held, row)
        return None if payload is None else ItemResult.decode(payload)

    def _part_with(self, number: int, row: int) -> tuple[PartInfo, int] | None:
        """The part that answers a row now, and the row's place in it."""
        info = self.published.get(number) or self._plan.complete.get(number)
        if info is not None:
            return info, row
        one = self._open[number]
        if one.old is None or one.kept_at is None or not one.keeps(row):
            return None
        return one.old, int(one.kept_at[row])


class Elsewhere:
    """Answers in the outputs that `output.reuse_from` names and in the output's own sample, found by fingerprint."""

    def __init__(self, index: FingerprintIndex, parts: Sequence[tuple[Storage, PartInfo]]) -> None:
        self._index = index
        self._parts = parts
        self._reader = PartReader()

    @classmethod
    def open(cls, job: Job, *, emulated: bool) -> Elsewhere | None:
        """Index the ok answers of the run's realm; raises `OutputError` for a place of `reuse_from` without parts.

        With `images.refresh` the sample is not used: whether its pictures are still the same is not looked at.
        """
        parts = [part for place in job.output.reuse_from for part in _parts_at(place)]
        if not job.images.refresh:
            parts += _parts_in(Storage.at(Workspace.of(job.output.path, state_home()).sample_output))
        if not parts:
            return None
        index = FingerprintIndex(sum(info.rows for _, info in parts))
        for number, (storage, info) in enumerate(parts):
            table = read_part(storage, info.name, ["fingerprint", "status", "provider"])
            for row, (text, status, provider) in enumerate(zip(*table.to_pydict().values(), strict=True)):
                ours = status == Status.OK.value and (provider == EMULATOR) == emulated
                if ours and text is not None:
                    index.claim(bytes.fromhex(text), number, row)
        return cls(index, parts)

    def holds(self, fingerprint: bytes) -> bool:
        """Whether one of the outputs seems to hold an answer: by 64 bits of the fingerprint, unopened."""
        return self._index.find(fingerprint) is not None

    async def find(self, fingerprint: bytes) -> ItemResult | None:
        """Return an ok answer of the run's realm, if one of the outputs holds it."""
        place = self._index.find(fingerprint)
        if place is None:
            return None
        storage, info = self._parts[place[0]]
        result = await self._reader.row(storage, info, place[1])
        return result if result is not None and result.fingerprint == fingerprint else None


def _parts_at(place: str) -> list[tuple[Storage, PartInfo]]:
    """The parts in the folders, or under the glob, that an entry of `reuse_from` names."""
    root, pattern = split_glob(place)
    if pattern:
        base = Storage.at(root)
        folders = sorted({str(Path(entry.name).parent) for entry in base.glob(f"{pattern}/*.parquet")})
        storages = [Storage.at(f"{root}/{folder}") for folder in folders]
    else:
        storages = [Storage.at(place)]
    found = [part for storage in storages for part in _parts_in(storage)]
    if not found and not pattern:
        raise OutputError(f"output.reuse_from: {place}: there is no output there")
    return found


def _parts_in(storage: Storage) -> list[tuple[Storage, PartInfo]]:
    """The parts in a folder; none where it is not there."""
    names = [entry.name for entry in storage.files() if entry.name.endswith(".parquet")]
    return [(storage, read_part_info(storage, name)) for name in names]


def reused(result: ItemResult, spent: Account, *, fingerprint: bytes, now_us: int) -> ItemResult:
    """An equal row's outcome: it cost this row nothing but what was `spent` on it before."""
    source = CostSource.REUSED if result.status is not Status.NOT_ATTEMPTED else None
    if spent.source is not None:
        source = weakest(spent.source, source or spent.source)
    return replace(
        result,
        fingerprint=fingerprint,
        attempts=spent.attempts,
        prompt_tokens=spent.prompt_tokens if spent.attempts else 0,
        completion_tokens=spent.completion_tokens if spent.attempts else 0,
        cached_tokens=spent.cached_tokens if spent.attempts else 0,
        cost_pico=spent.cost_pico if spent.attempts else 0,
        cost_source=source,
        upstream_pico=spent.upstream_pico,
        estimated_pico=0,
        latency_ms=None,
        finished_at=now_us,
    )
