"""Finds the answers of this output that duplicates take, and builds the duplicates' results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from parquill.asking import RowCosts
from parquill.ledger import Ledger
from parquill.planning import PartReader, RunPlan
from parquill.publishing import SliceResults
from parquill.results import CostSource, ItemResult, PartInfo, Status, weakest
from parquill.storage import Storage


class AnsweredRows:
    """The answers of this output, wherever they stand by now: memory, old parts, new parts, the ledger."""

    def __init__(self, plan: RunPlan, output: Storage, ledger: Ledger, works: Mapping[int, SliceResults]) -> None:
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


def reused(result: ItemResult, spent: RowCosts, *, fingerprint: bytes, now_us: int) -> ItemResult:
    """A duplicate's outcome: it cost this row nothing but what was `spent` on it before."""
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
