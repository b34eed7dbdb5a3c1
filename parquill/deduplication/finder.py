"""Finds rows that need no request of their own: a duplicate is being asked, or is answered elsewhere.

Duplicates have the same fingerprint. Within a run, pictures of the same content under other names count as
equal too, where Parquill has read the content. A duplicate takes the outcome of the row that is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from parquill.asking import Pictures
from parquill.clock import Clock
from parquill.deduplication.answered_rows import AnsweredRows, reused
from parquill.feeding import Feed
from parquill.planning import FingerprintIndex, OtherOutputs, PreparedRow, RunPlan
from parquill.publishing import SliceResults
from parquill.results import ItemResult

_log = logging.getLogger(__name__)

_MOST_CONTENTS = 1_000_000
"""Pictures' contents that are remembered in one run: 24 MB, however long the manifest is."""

Finish = Callable[[SliceResults, int, ItemResult], object]


class DuplicateFinder:
    """Finds each row's equal; one for a run."""

    def __init__(
        self,
        plan: RunPlan,
        standing: AnsweredRows,
        feed: Feed,
        other_outputs: OtherOutputs | None,
        *,
        clock: Clock,
        finish: Finish,
    ) -> None:
        self._plan = plan
        self._standing = standing
        self._feed = feed
        self._other_outputs = other_outputs
        self._clock = clock
        self._finish = finish
        self._contents: FingerprintIndex | None = None

    async def by_fingerprint(self, work: SliceResults, prepared: PreparedRow) -> bool:
        """Give a row the outcome of an equal one of this output or another; False: it has to be asked."""
        fingerprint, index = prepared.fingerprint, self._plan.index
        assert fingerprint is not None
        assert index is not None
        place = index.claim(fingerprint, work.plan.number, prepared.row)
        if place is not None and place != (work.plan.number, prepared.row):
            _log.debug(
                "row %d of slice %d is a duplicate of row %d of slice %d",
                prepared.row,
                work.plan.number,
                *reversed(place),
            )
            return await self._take_over(work, prepared.row, fingerprint, place)
        result = await self._other_outputs.find(fingerprint) if self._other_outputs is not None else None
        if result is not None:
            self._finish(work, prepared.row, self._shared(result, work, prepared.row, fingerprint))
        return result is not None

    async def by_content(
        self, work: SliceResults, prepared: PreparedRow, content: bytes | None, images: Pictures
    ) -> bool:
        """Give a row the outcome of one whose pictures have other names and the same content.

        `images`: what is known of the row's own.
        """
        if content is None or prepared.fingerprint is None:
            return False
        if self._contents is None:
            self._contents = FingerprintIndex(min(self._plan.manifest.rows, _MOST_CONTENTS))
        own = (work.plan.number, prepared.row)
        place = self._contents.find(content) if self._contents.is_full else self._contents.claim(content, *own)
        if place is None or place == own:
            return False
        return await self._take_over(work, prepared.row, prepared.fingerprint, place, own=images)

    async def _take_over(
        self, work: SliceResults, row: int, fingerprint: bytes, place: tuple[int, int], *, own: Pictures = None
    ) -> bool:
        """Take the outcome at a place, now or when it has come; `own`: the row's pictures, where they are others."""
        result = await self._standing.result(place)
        leader = self._feed.works.get(place[0])
        if result is None and leader is not None:
            leader.waiters.setdefault(place[1], []).append(
                lambda outcome: self._finish(work, row, self._shared(outcome, work, row, fingerprint, own))
            )
            return True
        if result is None or not (own or result.fingerprint == fingerprint):
            return False
        self._finish(work, row, self._shared(result, work, row, fingerprint, own))
        return True

    def _shared(
        self, result: ItemResult, work: SliceResults, row: int, fingerprint: bytes, own: Pictures = None
    ) -> ItemResult:
        now_us = int(self._clock.wall() * 1_000_000)
        spent = self._feed.account_of(work, row)
        return reused(replace(result, images=own or result.images), spent, fingerprint=fingerprint, now_us=now_us)
