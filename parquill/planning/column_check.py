"""Whether the columns that a job copies can stand in a part: tried before anything is sent.

A column whose type no Parquet file can hold (a struct without fields, an interval) let every row
be paid and then no part be written. What Parquet can hold is pyarrow's business and changes with
its versions, so it is not listed here: a part is written in memory, of no rows, of made-up values
(nulls, empty lists, lists of one) and of the manifest's first rows, and read back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from parquill.errors import ManifestError, SchemaError
from parquill.manifest import Chunk, Manifest, RowsDigest
from parquill.results import not_attempted_table, output_schema, try_part

_ROWS = 3
"""Rows of made-up values."""
_MOST_TRIED = 32 * 10**6
"""Bytes of real rows that are written to memory and read back."""


def refuse_unwritable(manifest: Manifest, schema: pa.Schema, rows: Chunk) -> None:
    """Raise `ManifestError` naming each copied column that cannot stand in a part, with its type.

    Args:
        manifest: Whose columns are copied.
        rows: Its first rows.
        schema: The output's schema. `SchemaError` where no part could have it for the answers' sake.

    Raises:
        ManifestError: A copied column cannot be written.
        SchemaError: The answers have a type that cannot be written.
    """
    columns = manifest.columns
    copied = schema.empty_table().select([columns.key.name, *(field.name for field in columns.kept)]).schema
    kept = [rows.table.column(field.name) for field in columns.kept]
    first = pa.table([manifest.keys(rows), *kept], names=copied.names)
    if first.nbytes > _MOST_TRIED:
        first = first.slice(0, 0)  # its types are tried, and a cell of any size is written by then
    whole = (first, first.slice(0, 0), _made_up(copied))
    if all(_fault(table) is None for table in whole):  # else it is looked for column by column
        _refuse_answers(schema)
        return
    faults = [f"column {field.name!r} has the type {field.type} ({why})" for field, why in _unwritable(first)]
    if faults:
        raise ManifestError(
            f"manifest.keep_columns: {'; '.join(faults)}: no Parquet file that Parquill writes can hold it, so it "
            "cannot stand in the output. List manifest.keep_columns without it, or write it with another type"
        )
    _refuse_answers(schema)


def _refuse_answers(schema: pa.Schema) -> None:
    kind = schema.field("answer").type
    key = pa.field("key", pa.int64())
    try:
        try_part(not_attempted_table(output_schema(key, (), kind), pa.table({"key": pa.nulls(0, pa.int64())}), ""))
    except _WRITE_FAULTS as error:
        raise SchemaError(
            f"output.schema: its answers would have the type {kind}, which no Parquet file can hold "
            f"({_first_line(error)}). Name the properties that an answer has"
        ) from None


def _unwritable(first: pa.Table) -> Iterator[tuple[pa.Field, str]]:
    for field in first.schema:
        if why := why_unwritable(first.select([field.name])):
            yield field, why


def why_unwritable(first: pa.Table) -> str | None:
    """Return why a column of this type cannot stand in a part; `first`: rows of it, and of nothing else."""
    tables = (first.slice(0, 0), _made_up(first.schema), first)
    return next((why for why in map(_fault, tables) if why is not None), None)


_WRITE_FAULTS = (pa.ArrowException, OSError, ValueError, TypeError, NotImplementedError)


def _fault(copied: pa.Table) -> str | None:
    """Return why a part with these columns, on the way that all parts go, cannot be written and read back."""
    schema = output_schema(
        copied.schema.field(0), [copied.schema.field(n) for n in range(1, copied.num_columns)], pa.string()
    )
    try:
        read = try_part(not_attempted_table(schema, copied, "")).select(copied.schema.names)
        read.validate(full=True)
        RowsDigest(b"").add(copied)  # every plan reads the column so
    except _WRITE_FAULTS as error:
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _made_up(schema: pa.Schema) -> pa.Table:
    return pa.table([made_up(field.type) for field in schema], names=schema.names)


def made_up(kind: pa.DataType, *, nullable: bool = True) -> pa.Array:
    """Return three values of a type: an empty or zero one, another, and null (where that may be).

    Nulls alone where pyarrow cannot make values of it.
    """
    try:
        return _values(kind, nullable=nullable)
    except _WRITE_FAULTS:
        return pa.nulls(_ROWS, kind)


def _values(kind: pa.DataType, *, nullable: bool) -> pa.Array:
    absent = pa.array([False, False, nullable])
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, made_up(kind.storage_type, nullable=nullable))
    if pt.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        if not fields:
            return pa.array([{}, {}, None if nullable else {}], kind)
        children = [made_up(field.type, nullable=field.nullable) for field in fields]
        return pa.StructArray.from_arrays(children, fields=fields, mask=absent)
    if pt.is_map(kind):
        keys, items = made_up(kind.key_type, nullable=False), made_up(kind.item_type, nullable=kind.item_field.nullable)
        return pa.MapArray.from_arrays([0, 0, _ROWS, None if nullable else _ROWS], keys, items, type=kind)
    if pt.is_fixed_size_list(kind):
        child = pa.concat_arrays([made_up(kind.value_type, nullable=kind.value_field.nullable)] * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(child, type=kind, mask=absent)
    if pt.is_nested(kind) and hasattr(kind, "value_field"):
        child = made_up(kind.value_type, nullable=kind.value_field.nullable)
        return pa.array([[], child.to_pylist(), None if nullable else []], kind)
    if pt.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(
            pa.array([0, 1, None if nullable else 0], kind.index_type),
            made_up(kind.value_type, nullable=False).slice(0, 2),
            ordered=kind.ordered,
        )
    return _plain_values(kind, nullable=nullable)


def _plain_values(kind: pa.DataType, *, nullable: bool) -> pa.Array:
    width = kind.byte_width if pt.is_fixed_size_binary(kind) else 1
    pairs: list[tuple[Any, Any]] = [
        (0, 1), ("", "x"), (b"", b"x"), (b"\0" * width, b"\1" * width), (Decimal(0), Decimal(1)), (False, True),
        (dt.timedelta(0), dt.timedelta(days=1)), ((0, 0, 0), (1, 1, 1)),
    ]  # fmt: skip
    for empty, other in pairs:
        try:
            return pa.array([empty, other, None if nullable else other], kind)
        except _WRITE_FAULTS:
            continue
    return pa.nulls(_ROWS, kind)
