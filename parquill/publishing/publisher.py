"""Publishes the part of a slice.

Three steps, each safe to be interrupted before the next:
1. The ledger notes which part is about to appear (`begin_publish`).
2. The part appears whole under its final name.
3. The ledger drops the slice's rows (`finish_publish`).
A reader of the ledger in between sees by the part's own id whether the part is there already.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from parquill.ledger import FailureRecord, Ledger
from parquill.planning import OpenSlice
from parquill.publishing.failure_counts import FailureCounts
from parquill.publishing.slice_results import SliceResults
from parquill.results import (
    RESULT_COLUMNS,
    ItemResult,
    PartInfo,
    ToArrow,
    merge_rows,
    read_part,
    result_table,
    with_fingerprints,
    write_part,
)
from parquill.storage import Storage

_log = logging.getLogger(__name__)


class Publisher:
    """Writes parts whole and lets go of what the ledger held for them."""

    def __init__(  # noqa: PLR0917 - what a part is made of
        self,
        output: Storage,
        ledger: Ledger,
        schema: pa.Schema,
        to_arrow: ToArrow,
        about: Callable[[], Mapping[str, Any]],
        failed: FailureCounts | None = None,
    ) -> None:
        """`about`: what a part's footer says of the run now (job, settings, model, output mode, price, versions);
        `failed` counts in how many runs rows failed alike, where that is counted."""
        self._output = output
        self._ledger = ledger
        self.schema = schema
        self._to_arrow = to_arrow
        self._about = about
        self._failed = failed

    async def publish(self, work: SliceResults) -> PartInfo:
        """Write the part of a whole slice; when this returns it stands and the ledger has let go."""
        failed = await self._failed.count(work) if self._failed is not None else ()
        return await self.put(work.plan, work.slice_id, await asyncio.to_thread(self._table, work), failed)

    async def put(
        self, plan: OpenSlice, slice_id: int, table: pa.Table, failed: Sequence[FailureRecord] = ()
    ) -> PartInfo:
        """Put a part in the place of the old one; `failed` is noted of its rows once it stands."""
        part_id = uuid.uuid4().hex
        metadata = {**self._about(), "part_id": part_id, "slice_digest": plan.digest}
        await self._ledger.begin_publish(slice_id, part_id, plan.old.part_id if plan.old else None)
        info = await asyncio.to_thread(write_part, self._output, plan.slice.part, table, metadata)
        await self._ledger.finish_publish(slice_id, failed, metadata["realm"])
        _log.info("part %s written: %d rows, %d answered, %d failed", info.name, info.rows, info.ok, info.failed)
        return info

    def _table(self, work: SliceResults) -> pa.Table:
        manifest = work.manifest_table()
        kept = np.flatnonzero(work.kept)
        if not len(kept):
            return result_table(self.schema, manifest, _all(work.results), self._to_arrow)
        assert work.plan.old is not None
        assert work.plan.kept_at is not None
        old = read_part(self._output, work.plan.old.name, RESULT_COLUMNS).take(pa.array(work.plan.kept_at[kept]))
        if (renamed := work.plan.renamed) is not None:
            old = with_fingerprints(old, [renamed[row] for row in kept.tolist()])
        fresh_at = np.flatnonzero(~work.kept)
        fresh = _all([work.results[row] for row in fresh_at])
        return merge_rows(self.schema, manifest, old, kept, fresh, fresh_at, self._to_arrow)


def _all(results: Sequence[ItemResult | None]) -> list[ItemResult]:
    whole = [result for result in results if result is not None]
    assert len(whole) == len(results)
    return whole
