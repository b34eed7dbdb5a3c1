"""Reloads full values of sampled rows that the sample truncated: bytes, data: URLs.

Pictures may be kept in the output itself. The first pass leaves them out. This one reads them for the gallery's
rows only, row group by row group and within a bound on the bytes read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from parquill.report.row_choice import Cut, SampledRow
from parquill.results import row_values
from parquill.storage import Storage

_MOST_BYTES = 200_000_000
"""Stored bytes of the columns that are read; rows in further row groups stay without."""
_BATCH_ROWS = 64


def whole_cells(
    output: Storage, rows: Sequence[SampledRow], bulky: Sequence[str], most_bytes: int = _MOST_BYTES
) -> dict[int, dict[str, Any]]:
    """Return, by row number, the cells of `bulky` columns and of those that some row holds cut."""
    columns = [*bulky, *_cut_columns(rows)]
    if not columns:
        return {}
    found: dict[int, dict[str, Any]] = {}
    wanted = sorted(row.number for row in rows)
    first, left = 0, most_bytes
    for entry in output.glob("*.parquet"):
        with output.open(entry.name) as file:
            part = pq.ParquetFile(file, pre_buffer=False)
            for group in range(part.num_row_groups):
                size = part.metadata.row_group(group).num_rows
                here = [number - first for number in wanted if first <= number < first + size]
                cost = _stored(part.metadata.row_group(group), columns) if here else 0
                if here and cost <= left:
                    left -= cost
                    found.update((first + place, cells) for place, cells in _cells(part, group, columns, here))
                first += size
    return found


def _cut_columns(rows: Sequence[SampledRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name, value in row.values.items() if _holds_cut(value)))


def _holds_cut(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_cut(item) for item in value.values())
    return isinstance(value, Cut) or (isinstance(value, list) and any(_holds_cut(item) for item in value))


def _stored(group: Any, columns: Sequence[str]) -> int:
    chunks = (group.column(at) for at in range(group.num_columns))
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)


def _cells(
    part: Any, group: int, columns: Sequence[str], places: Sequence[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the cells at these places of a row group, in order, and stop reading after the last."""
    waiting, start = list(places), 0
    for batch in part.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=list(columns)):
        while waiting and waiting[0] < start + batch.num_rows:
            place = waiting.pop(0)
            yield place, row_values(batch, place - start)
        if not waiting:
            return
        start += batch.num_rows
