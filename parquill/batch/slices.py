"""An open slice on its way from the manifest to its part, and how the part is published.

Publishing a part has three steps, each safe to be cut off before the next: the ledger notes
which part is about to stand (`begin_publish`), the part appears whole under its final name,
the ledger lets go of the slice's rows (`finish_publish`). Whoever reads the books in between
sees by the part's own id whether it stands already.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from parquill.batch.plan import OpenSlice
from parquill.ledger import FailureRecord, Ledger
from parquill.manifest import Chunk, Manifest
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

if TYPE_CHECKING:
    from parquill.batch.failed_runs import FailedRuns

Waiter = Callable[[ItemResult], object]


class SliceWork:
    """One open slice: its rows' outcomes as they come, until the part can be written."""

    __slots__ = (
        "_chunks", "kept", "left", "left_failed", "plan", "published", "publishing", "results", "rows_read", "slice_id",
        "waiters",
    )  # fmt: skip

    def __init__(self, plan: OpenSlice, slice_id: int) -> None:
        self.plan = plan
        self.slice_id = slice_id
        self.results: list[ItemResult | None] = [None] * plan.slice.rows
        self.kept = np.zeros(plan.slice.rows, bool)
        self.left = plan.slice.rows
        """Rows without an outcome."""
        self.left_failed: set[int] = set()
        """Rows that failed in earlier runs, at another place, and are not asked again."""
        self.rows_read = 0
        self.publishing = False
        self.published = asyncio.Event()
        """Publishing has come to its end, well or not."""
        self.waiters: dict[int, list[Waiter]] = {}
        """Equal rows that wait for a row's outcome."""
        self._chunks: list[pa.Table] = []

    def take(self, chunk: Chunk, manifest: Manifest) -> None:
        """Remember a chunk's key and kept columns: they go into the part as they are."""
        names = [field.name for field in manifest.columns.kept]
        columns = [manifest.keys(chunk), *(chunk.table.column(name) for name in names)]
        self._chunks.append(pa.table(columns, names=[manifest.columns.key.name, *names]))
        self.rows_read += chunk.table.num_rows

    def keep(self, row: int) -> None:
        """Row `row` stays as it stands in the old part."""
        self.kept[row] = True
        self.left -= 1

    def finish(self, row: int, result: ItemResult) -> None:
        """Take a row's outcome, and tell the rows that wait for it."""
        if self.results[row] is None:
            self.left -= 1
        self.results[row] = result
        for waiter in self.waiters.pop(row, ()):
            waiter(result)

    @property
    def is_replacing(self) -> bool:
        """Whether its part is just being written."""
        return self.publishing and not self.published.is_set()

    @property
    def is_read(self) -> bool:
        """Whether all its rows have come from the manifest."""
        return self.rows_read == self.plan.slice.rows

    @property
    def is_whole(self) -> bool:
        """Whether the part can be written."""
        return self.left == 0 and self.is_read

    def manifest_table(self) -> pa.Table:
        """The key and kept columns of all rows."""
        return pa.concat_tables(self._chunks)


class Publisher:
    """Writes parts whole and lets go of what the ledger held for them."""

    def __init__(  # noqa: PLR0917 - what a part is made of
        self,
        output: Storage,
        ledger: Ledger,
        schema: pa.Schema,
        to_arrow: ToArrow,
        about: Callable[[], Mapping[str, Any]],
        failed: FailedRuns | None = None,
    ) -> None:
        """`about`: what a part's footer says of the run now (job, settings, model, rung, price, versions);
        `failed` counts in how many runs rows failed alike, where that is counted."""
        self._output = output
        self._ledger = ledger
        self.schema = schema
        self._to_arrow = to_arrow
        self._about = about
        self._failed = failed

    async def publish(self, work: SliceWork) -> PartInfo:
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
        return info

    def _table(self, work: SliceWork) -> pa.Table:
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
