"""Single rows of parts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import pyarrow as pa

from parquill.results import ItemResult, PartInfo, read_part, results_in
from parquill.storage import Storage

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
