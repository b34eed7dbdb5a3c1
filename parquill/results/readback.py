"""Rows of a part as results again: for the archive, for other outputs, for duplicates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from parquill.answers import JSON_MEMBERS
from parquill.chat import ImageFigures
from parquill.results.item import CostSource, ItemResult, Status
from parquill.results.parts import PartInfo
from parquill.results.table import FIELD_OF, MONEY, RESULT_COLUMNS, column_of, pico_values

FromArrow = Callable[[pa.ChunkedArray], list[Any]]
"""A column of answers -> plain JSON values; the inverse of the `to_arrow` that made it."""

_FIELDS = tuple(FIELD_OF.get(name, name) for name in RESULT_COLUMNS)

_READ: Mapping[str, Callable[[Any], Any]] = {
    "status": Status,
    "cost_source": CostSource,
    "answer_repairs": tuple,
    "images": lambda images: tuple(one and ImageFigures(**one) for one in images),
    "fingerprint": bytes.fromhex,
}


def results_of(table: pa.Table, from_arrow: FromArrow | None = None) -> list[ItemResult]:
    """Read a part's rows back; `from_arrow` reads the answers, by default `plain_values`.

    An answer comes back with every key of its schema (null where it was left out).
    """
    columns = [_values(name, column_of(table, name), from_arrow or plain_values) for name in RESULT_COLUMNS]
    return [ItemResult(**dict(zip(_FIELDS, cells, strict=True))) for cells in zip(*columns, strict=True)]


def results_in(info: PartInfo, table: pa.Table) -> list[ItemResult]:
    """Read rows of a part back, its answers as its footer says that they were written."""
    return results_of(table, reading(info.meta.get("json_text", ())))


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """Arrow values as JSON values: dates and times as ISO strings, dictionaries decoded."""
    values = column.to_pylist()
    return [_plain(value) for value in values] if _has_times(column.type) else values


def reading(json_text: Sequence[Sequence[str]]) -> FromArrow:
    """Return how to read answers back of which the values at these paths stand as JSON text.

    A path names properties, with "[]" for the items of a list.
    """
    if not json_text:
        return plain_values
    return lambda column: [_parsed_at(value, json_text) for value in plain_values(column)]


def _parsed_at(value: Any, paths: Sequence[Sequence[str]]) -> Any:
    for path in paths:
        value = _parsed(value, path)
    return value


def _parsed(value: Any, path: Sequence[str]) -> Any:
    if value is None:
        return None
    if not path:
        return orjson.loads(value)
    if len(path) == 2 and path[1] == JSON_MEMBERS:
        named = {key: item for key, item in value.items() if key != path[0]}
        return named | (orjson.loads(value[path[0]]) if value[path[0]] is not None else {})
    if path[0] == "[]":
        return [_parsed(item, path[1:]) for item in value]
    return {**value, path[0]: _parsed(value[path[0]], path[1:])}


def _values(name: str, column: pa.ChunkedArray, from_arrow: FromArrow) -> list[Any]:
    if name == "answer":
        return from_arrow(column)
    if name == "finished_at":
        return list(column.cast(pa.int64()).to_pylist())
    if column.type == MONEY:
        missing = column.is_null().to_numpy()
        return [None if gone else int(pico) for pico, gone in zip(pico_values(column), missing, strict=True)]
    values: list[Any] = column.to_pylist()
    read = _READ.get(name)
    return [None if value is None else read(value) for value in values] if read else values


def _has_times(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_times(kind.field(at).type) for at in range(kind.num_fields))
    return bool(pa.types.is_temporal(kind))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else value
