"""Outcomes of an open slice's rows, collected until its part can be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from parquill.manifest import Chunk, Manifest
from parquill.planning import OpenSlice
from parquill.results import ItemResult

Waiter = Callable[[ItemResult], object]


class SliceResults:
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
        """Duplicates that wait for a row's outcome."""
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
