"""`estimate.parquet`: a line for each row of the manifest, written while the rows are read.

Columns: the id (or `row`), `position` (int64, in the manifest), `state` (todo, kept, equal, failing, or
not_asked beyond a limit), `error_kind`, and of rows to send `images` (int32), `writing` (the texts' languages
as far as their letters tell), `prompt_tokens` and `answer_tokens` (int64, expected), and `expected_cost_usd`
and `worst_cost_usd` (decimal128(18, 12), null where no price is known).
Finished slices come first, so that they need not be read whole; `position` gives the manifest's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from parquill.estimation.counting import Counted
from parquill.estimation.pricing import Costs
from parquill.manifest import Manifest
from parquill.planning import SortedChunk
from parquill.results import money_array
from parquill.storage import ByteSink

_MONEY = pa.decimal128(18, 12)
_ROWS_PER_GROUP = 32_768
"""They wait in memory until they are written: 200 bytes each, encoded and not."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a chunk's rows, by their index in it; rows that are not sent have none."""

    counted: Counted
    costs: Costs | None
    """None where no price is known."""
    places: Sequence[int]
    writing: Sequence[str]
    faults: Mapping[int, str]


class LineWriter:
    """Writes chunk after chunk; some megabytes wait until they make a row group."""

    def __init__(self, sink: ByteSink, manifest: Manifest) -> None:
        self._manifest = manifest
        self._schema = pa.schema(
            [
                manifest.columns.key,
                ("position", pa.int64()),
                ("state", pa.string()),
                ("error_kind", pa.string()),
                ("images", pa.int32()),
                ("writing", pa.string()),
                ("prompt_tokens", pa.int64()),
                ("answer_tokens", pa.int64()),
                ("expected_cost_usd", _MONEY),
                ("worst_cost_usd", _MONEY),
            ]
        )
        self._writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def add(self, rows: SortedChunk, found: Figures) -> None:
        """Write the lines of a chunk."""
        chunk, count = rows.chunk, rows.chunk.table.num_rows
        first = chunk.slice.position + chunk.start
        columns = [
            self._manifest.keys(chunk),
            pa.array(np.arange(first, first + count, dtype=np.int64)),
            pa.array(rows.states),
            pa.array([found.faults.get(place) for place in range(count)], pa.string())
            if found.faults
            else pa.nulls(count, pa.string()),
            *_spread_out(rows, found),
        ]
        self._waiting.append(pa.table(columns, schema=self._schema))
        self._rows += count
        if self._rows >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_ROWS_PER_GROUP)
        self._waiting, self._rows = [], 0


def _spread_out(rows: SortedChunk, found: Figures) -> list[pa.Array]:
    """Figures of the rows to send at their places, null at the others."""
    counted, costs = found.counted, found.costs
    dense = [
        pa.array(counted.images, pa.int32()),
        pa.array(found.writing, pa.string()),
        pa.array(counted.tokens.expected),
        pa.array(counted.answer_tokens),
        *(
            [money_array(costs.expected), money_array(costs.worst)]
            if costs
            else [pa.nulls(len(counted.rows), _MONEY)] * 2
        ),
    ]
    if len(found.places) == len(rows.states):
        return dense
    at = np.full(len(rows.states), -1, np.int64)
    at[found.places] = np.arange(len(found.places))
    indices = pa.array(at, mask=at < 0)
    return [column.take(indices) for column in dense]
