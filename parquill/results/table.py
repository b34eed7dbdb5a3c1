"""The output's schema, and tables of it built from results: column by column, not cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from parquill.chat import ImageFigures
from parquill.errors import OutputError
from parquill.results.item import ItemResult, Status, repaired

MONEY = pa.decimal128(18, 12)
"""USD; its unscaled integer is the same amount in pico-USD."""

_LARGEST_PICO = 10**18 - 1

_FIGURES = pa.struct(
    [
        ("bytes_fetched", pa.int64()),
        ("bytes_sent", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("digest", pa.string()),
        ("version", pa.string()),
    ]
)
"""`ImageFigures`."""

_RESULT_TYPES: tuple[tuple[str, pa.DataType | None], ...] = (
    ("answer", None),
    ("answer_text", pa.string()),
    ("status", pa.string()),
    ("error_kind", pa.string()),
    ("error_message", pa.string()),
    ("attempts", pa.int32()),
    ("model", pa.string()),
    ("provider", pa.string()),
    ("generation_id", pa.string()),
    ("finish_reason", pa.string()),
    ("prompt_tokens", pa.int64()),
    ("completion_tokens", pa.int64()),
    ("cached_tokens", pa.int64()),
    ("cost_usd", MONEY),
    ("cost_source", pa.string()),
    ("upstream_cost_usd", MONEY),
    ("estimated_cost_usd", MONEY),
    ("latency_ms", pa.int32()),
    ("answer_repairs", pa.list_(pa.string())),
    ("finished_at", pa.timestamp("us", tz="UTC")),
    ("fingerprint", pa.string()),
    ("images", pa.list_(_FIGURES)),
)

RESULT_COLUMNS: tuple[str, ...] = tuple(name for name, _ in _RESULT_TYPES)
"""The output's own columns, in order; a kept column may have none of these names."""

LATE_COLUMNS = frozenset({"images", "upstream_cost_usd"})
"""Columns that parts of an earlier version lack: null there, and written with the next run."""

FIELD_OF = {
    "cost_usd": "cost_pico",
    "upstream_cost_usd": "upstream_pico",
    "estimated_cost_usd": "estimated_pico",
    "answer_repairs": "repairs",
}
"""Columns that are called otherwise in `ItemResult`."""

ToArrow = Callable[[list[Any]], pa.Array]
"""Plain answers (None for null) -> an array of the schema's answer type."""


def output_schema(key_field: pa.Field, kept: Sequence[pa.Field], answer_type: pa.DataType) -> pa.Schema:
    """The one schema of all parts: the key, the kept columns, then `RESULT_COLUMNS`.

    Every field is nullable and bare of metadata, so that parts agree whatever file of the
    manifest they come from. Raises `OutputError` when two columns would share a name.
    """
    copied = [pa.field(field.name, field.type) for field in (key_field, *kept)]
    names = [field.name for field in copied]
    for name in names:
        if name in RESULT_COLUMNS or names.count(name) > 1:
            raise OutputError(
                f"the manifest's column {name!r} would stand twice in the output; rename it, "
                "or leave it out with manifest.keep_columns"
            )
    return pa.schema([*copied, *(pa.field(name, kind or answer_type) for name, kind in _RESULT_TYPES)])


def result_table(schema: pa.Schema, manifest: pa.Table, results: Sequence[ItemResult], to_arrow: ToArrow) -> pa.Table:
    """A part's table: the manifest's own columns with one result for each row, in order."""
    if manifest.num_rows != len(results):
        raise ValueError(f"{manifest.num_rows} rows and {len(results)} results do not pair")
    return _joined(schema, manifest, _result_columns(schema, results, to_arrow))


def not_attempted_table(schema: pa.Schema, manifest: pa.Table, message: str) -> pa.Table:
    """A part's table of rows that no request was sent for; `message` says why."""
    rows = manifest.num_rows
    given: Mapping[str, Any] = {
        "status": Status.NOT_ATTEMPTED.value,
        "error_message": message,
        "attempts": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cached_tokens": 0,
        "cost_usd": 0,
    }
    columns: dict[str, Any] = {}
    for name in RESULT_COLUMNS:
        kind = schema.field(name).type
        columns[name] = pa.repeat(pa.scalar(given[name], kind), rows) if name in given else pa.nulls(rows, kind)
    columns["answer_repairs"] = pa.ListArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows + 1), pa.nulls(0, pa.string())
    )
    return _joined(schema, manifest, columns)


def merge_rows(  # noqa: PLR0917 - two sources of rows, each with its places
    schema: pa.Schema,
    manifest: pa.Table,
    kept: pa.Table,
    kept_at: Sequence[int] | np.ndarray[Any, Any],
    fresh: Sequence[ItemResult],
    fresh_at: Sequence[int] | np.ndarray[Any, Any],
    to_arrow: ToArrow,
) -> pa.Table:
    """A part's table from rows of older parts and fresh results.

    Row i of `kept` (a table with the result columns) goes to row `kept_at[i]` of the
    manifest, `fresh[i]` to row `fresh_at[i]`; together they take every row once, else
    `ValueError`. The key and the kept columns always come from the manifest. Raises
    `OutputError` when the older rows have another type of answer.
    """
    places = np.concatenate([np.asarray(kept_at, dtype=np.int64), np.asarray(fresh_at, dtype=np.int64)])
    order = np.full(manifest.num_rows, -1, dtype=np.int64)
    if len(places) != len(order) or kept.num_rows + len(fresh) != len(order):
        raise ValueError(f"{kept.num_rows} kept and {len(fresh)} fresh rows do not fill {len(order)} rows")
    order[places] = np.arange(len(places))
    if (order < 0).any():
        raise ValueError(f"row {int(np.argmin(order))} of the slice has no result, another has two")
    new = _result_columns(schema, fresh, to_arrow)
    columns = {}
    for name in RESULT_COLUMNS:
        old = _of_type(column_of(kept, name), schema.field(name))
        columns[name] = pa.chunked_array([*old.chunks, *_chunks(new[name])], type=schema.field(name).type).take(order)
    return _joined(schema, manifest, columns)


def with_fingerprints(table: pa.Table, fingerprints: Sequence[bytes | None]) -> pa.Table:
    """Return a part's rows under other fingerprints."""
    values = [one.hex() if one is not None else None for one in fingerprints]
    at = table.column_names.index("fingerprint")
    return table.set_column(at, table.field(at), pa.array(values, table.field(at).type))


def column_of(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a result column of a part's table; all null where the part is older than the column.

    Such a part may have a column of the manifest's own under that name.
    """
    kind = dict(_RESULT_TYPES)[name]
    if name in LATE_COLUMNS and (name not in table.column_names or table.column(name).type != kind):
        return pa.chunked_array([pa.nulls(table.num_rows, kind)])
    return table.column(name)


def _of_type(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if column.type != field.type:
        raise OutputError(
            f"the output's column {field.name!r} has the type {column.type}, now it would be {field.type}; "
            "the answers of another schema cannot stay in this output: choose another output.path"
        )
    return column


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _joined(schema: pa.Schema, manifest: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    copied = [as_type(manifest.column(field.name), field.type) for field in schema if field.name not in columns]
    return pa.table([*copied, *columns.values()], schema=schema)


def as_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column with another type; as it is where it has that type already.

    pyarrow makes an invalid array of a `list<null>` that is cast to its own type.
    """
    return column if column.type.equals(kind) else column.cast(kind)


def _result_columns(schema: pa.Schema, results: Sequence[ItemResult], to_arrow: ToArrow) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in RESULT_COLUMNS:
        values = list(map(attrgetter(FIELD_OF.get(name, name)), results))
        kind = schema.field(name).type
        if name == "answer":
            columns[name] = _answers(values, kind, to_arrow)
        elif name == "images":
            columns[name] = pa.array([images and list(map(_cell, images)) for images in values], kind)
        elif name == "fingerprint":
            columns[name] = pa.array([value.hex() if value is not None else None for value in values], kind)
        else:
            columns[name] = money_array(values) if kind == MONEY else _plain(values, kind)
    return columns


def _cell(figures: ImageFigures | None) -> dict[str, Any] | None:
    return None if figures is None else {field.name: getattr(figures, field.name) for field in _FIGURES}


def _answers(values: list[Any], kind: pa.DataType, to_arrow: ToArrow) -> Any:
    try:
        answers = to_arrow(values)
    except UnicodeEncodeError:
        answers = to_arrow([repaired(value) for value in values])
    if answers.type != kind:
        raise ValueError(f"answers came as {answers.type}, the schema says {kind}")
    return answers


def _plain(values: list[Any], kind: pa.DataType) -> Any:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([repaired(value) for value in values], kind)


def money_array(pico: Iterable[int | None]) -> pa.Array:
    """Pico-USD as `decimal128(18, 12)` dollars: the same integers, no arithmetic on them.

    Raises `ValueError` for an amount of a million dollars or more: the column cannot hold it.
    """
    values = list(pico)
    nulls = [place for place, value in enumerate(values) if value is None] if None in values else []
    try:
        low = np.array([value or 0 for value in values] if nulls else values, dtype=np.int64)
    except OverflowError:
        low = np.array([_LARGEST_PICO + 1])
    if len(low) and not -_LARGEST_PICO <= int(low.min()) <= int(low.max()) <= _LARGEST_PICO:
        raise ValueError("one row cannot cost a million dollars")
    words = np.empty((len(values), 2), dtype="<i8")  # decimal128 is a little-endian two's complement
    words[:, 0], words[:, 1] = low, low >> 63
    validity = None
    if nulls:
        known = np.ones(len(values), dtype=bool)
        known[nulls] = False
        validity = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(MONEY, len(values), [validity, pa.py_buffer(words)])


def pico_values(column: pa.ChunkedArray | pa.Array) -> np.ndarray[Any, Any]:
    """A money column as int64 pico-USD; null counts as 0."""
    pieces = [_pico_of(chunk) for chunk in _chunks(column)]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)


def _pico_of(array: pa.Array) -> np.ndarray[Any, Any]:
    words = np.frombuffer(array.buffers()[1] or b"", dtype="<i8").reshape(-1, 2)
    values = words[array.offset : array.offset + len(array), 0]
    return values if array.null_count == 0 else np.where(array.is_null().to_numpy(zero_copy_only=False), 0, values)
