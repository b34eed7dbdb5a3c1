"""Reads the output once, part by part and batch by batch, into figures and samples.

Memory is that of a batch and of what is kept; `pre_buffer` is off because it holds whole parts.
Kept columns of bytes are left where they are: a page does not show them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.errors import OutputError
from parquill.report.figures import Collected, Numbers, OutputFigures
from parquill.report.row_choice import BatchRows
from parquill.report.shown_rows import Samples, may_be_stratum
from parquill.results import LATE_COLUMNS, RESULT_COLUMNS
from parquill.storage import Storage
from parquill.threads import stop_point

_BATCH_ROWS = 8_192


def collect(output: Storage) -> Collected:
    """Read a whole output. Raises `OutputError` where there is none, or where a part is damaged."""
    names = [entry.name for entry in output.glob("*.parquet")]
    if not names:
        raise OutputError(f"{output.label}: there is no output to report on; run the job first")
    schema = _schema(output, names[0])
    key, *kept = [field for field in schema if field.name not in RESULT_COLUMNS]
    columns = [field.name for field in schema if not _is_bulky(field.type)]
    figures = OutputFigures()
    samples = Samples([field.name for field in kept if may_be_stratum(field.type)])
    rows = 0
    for batch in _batches(output, names, columns):
        numbers = Numbers(batch)
        figures.add(batch, numbers)
        samples.add(BatchRows(batch, rows), numbers)
        rows += batch.num_rows
    shown = tuple(field.name for field in kept if field.name in columns)
    bulky = tuple(field.name for field in kept if field.name not in columns)
    return Collected(key.name, shown, bulky, figures, samples)


def _schema(output: Storage, name: str) -> pa.Schema:
    with output.open(name) as file:
        schema = _opened(output, name, file).schema_arrow
    if missing := set(RESULT_COLUMNS) - LATE_COLUMNS - set(schema.names):
        raise OutputError(f"{output.where(name)}: this is no output of Parquill: it has no column {min(missing)!r}")
    return schema


def _batches(output: Storage, names: list[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for name in names:
        with output.open(name) as file:
            part = _opened(output, name, file)
            try:
                for batch in part.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                    stop_point()
                    yield batch
            except (OSError, pa.ArrowException) as error:
                raise OutputError(f"{output.where(name)}: this part cannot be read: {error}") from error


def _opened(output: Storage, name: str, file: Any) -> Any:
    try:
        return pq.ParquetFile(file, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{output.where(name)}: this part cannot be read: {error}") from error


def _is_bulky(kind: pa.DataType) -> bool:
    """Tell bytes, and lists and structs that hold bytes."""
    if pa.types.is_nested(kind):
        return any(_is_bulky(kind.field(at).type) for at in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
