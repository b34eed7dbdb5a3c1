"""Cells of any Arrow type as values of Python: what Python cannot hold is found cell by cell.

Arrow converts a column as a whole, and one value may refuse it: a date after the year 9999, a text that is
not UTF-8, a struct with two fields of one name. Then each cell is converted alone, so that the others keep
their values. A time in a zone that no one knows is such a value in every cell that is not null.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from parquill.errors import ErrorKind, RowError, row_errors


def python_values(
    column: pa.Array | pa.ChunkedArray, left_out: Collection[int] = ()
) -> tuple[list[Any], Mapping[int, str]]:
    """Return a column's values, None where Python has none, and at the places that are `left_out`.

    Returns:
        The values in order, and by place, of cells that have none, why: without the value itself.
    """
    if left_out:
        return _one_by_one(column, left_out)
    try:
        return column.to_pylist(), {}
    except Exception:
        return _one_by_one(column, ())


def _one_by_one(column: pa.Array | pa.ChunkedArray, left_out: Collection[int]) -> tuple[list[Any], Mapping[int, str]]:
    values: list[Any] = []
    faults: dict[int, str] = {}
    for place in range(len(column)):
        if place in left_out:
            values.append(None)
            continue
        cell = column[place]
        try:
            with row_errors(ErrorKind.BAD_ROW, lambda error: _why(column.type, error)):  # of pytz, pandas, codecs too
                values.append(cell.as_py())
        except RowError as fault:
            values.append(None)
            faults[place] = fault.message
    return values, faults


def row_values(batch: pa.RecordBatch, place: int) -> dict[str, Any]:
    """Return one row by the names of its columns; a short note in place of a value that Python cannot hold."""
    row = batch.slice(place, 1)
    try:
        values: dict[str, Any] = row.to_pylist()[0]
    except Exception:
        return {name: _shown(column) for name, column in zip(row.schema.names, row.columns, strict=True)}
    return values


def _shown(column: pa.Array) -> Any:
    (value,), faults = python_values(column)
    return f"({faults[0]})" if faults else value


def _why(kind: pa.DataType, error: Exception) -> str:
    if isinstance(error, OverflowError):
        return f"a {kind} beyond what can be read (years 1 to 9999)"
    return f"a {kind} that cannot be read: {type(error).__name__}"
