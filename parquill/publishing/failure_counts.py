"""Counts in how many runs a row failed in the same way, when its part is published."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

from parquill.errors import PASSING_KINDS
from parquill.ledger import FailureRecord, Ledger
from parquill.planning import RetryChoice, bare_message, left_message
from parquill.publishing.slice_results import SliceResults
from parquill.results import ItemResult, Status


class FailureCounts:
    """Counts for one run; a request counts once in it, however many rows share it."""

    def __init__(self, ledger: Ledger, retry: RetryChoice, *, realm: str, began: dt.datetime) -> None:
        """`began`: when this process began with the run."""
        self._ledger = ledger
        self.retry = retry
        self._realm = realm
        self._began = int(began.timestamp() * 1_000_000)
        self.left: Counter[str] = Counter()
        """Rows published by this run, by kind, that are not asked again on their own."""

    async def count(self, work: SliceResults) -> list[FailureRecord]:
        """Return what is to be noted of a slice's failed rows; those not asked again say so from here on."""
        failed = [(row, result) for row, result in enumerate(work.results) if result is not None and _failed(result)]
        if not failed:
            return []
        known = await self._ledger.failures([result.fingerprint or b"" for _, result in failed], self._realm)
        noted = []
        for row, result in failed:
            before = known.get(result.fingerprint or b"")
            if result.error_kind not in PASSING_KINDS:
                if before is not None:  # another fault came between: the count of the one before is over
                    noted.append(replace(self._record(result, None), runs=0))
                continue
            record = before if before and row in work.left_failed else self._record(result, before)
            if record.runs >= self.retry.max_runs:
                self.left[record.kind] += 1
                work.results[row] = replace(result, error_message=left_message(record))
            noted.append(record)
        return noted

    def _record(self, result: ItemResult, before: FailureRecord | None) -> FailureRecord:
        kind, runs = result.error_kind or "", 1
        if before is not None and before.kind == kind:
            runs = before.runs if before.counted_at == self._began else before.runs + 1
        return FailureRecord(result.fingerprint or b"", kind, runs, self._began, bare_message(result.error_message))


def _failed(result: ItemResult) -> bool:
    return result.status is Status.FAILED and result.fingerprint is not None
