"""Reads single rows of parts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import pyarrow as pa

from parquill.results import ItemResult, PartInfo, read_part, results_in
from parquill.storage import Storage

_TABLES = 4


class PartReader:
    """Single rows of parts; the last few parts stay in memory, since duplicates lie near each other.

    A part that is being read is read once for all rows that want it meanwhile, whichever of them is cut off.
    """

    def __init__(self) -> None:
        self._tables: OrderedDict[tuple[Storage, str, str], asyncio.Future[pa.Table]] = OrderedDict()

    async def row(self, storage: Storage, info: PartInfo, row: int) -> ItemResult | None:
        """Return one row of a part; None where another part stands in its place and is shorter.

        Raises `OutputError` where the part cannot be read; the next call tries again.
        """
        key = (storage, info.name, info.part_id)
        read = self._tables.get(key)
        if read is None or (read.done() and read.exception() is not None):
            read = asyncio.get_running_loop().run_in_executor(None, read_part, storage, info.name)
            self._tables[key] = read
        self._tables.move_to_end(key)
        self._forget()
        table = await asyncio.shield(read)
        return next(iter(results_in(info, table.slice(row, 1))), None)

    def _forget(self) -> None:
        """Keep the tables that were used last; one that is still being read is kept for those that wait."""
        for key in [key for key, read in self._tables.items() if read.done()][:-_TABLES]:
            del self._tables[key]
