"""Converts a schema's node to its Arrow type, and plain JSON values to an Arrow array.

| schema | Arrow |
|---|---|
| object | struct |
| array | list |
| string, also with format uuid | string |
| integer, number, boolean | int64, double, bool |
| string with format date, date-time | date32, timestamp[us, UTC] |
| enum or const of strings | dictionary<int32, string> |
| other unions, objects with any keys, enums of mixed types | JSON text in a string |

The type comes from the schema alone, so it is the same in every part, also where all is null.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from parquill.answers.schema_tree import JSON_TEXT, Kind, Node

Lowering = Callable[[Any], Any]
"""Turns one plain JSON value (not null) into what pyarrow takes for its type."""

_SCALARS: dict[Kind, pa.DataType] = {
    Kind.STRING: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us", tz="UTC"),
    Kind.ENUM: pa.dictionary(pa.int32(), pa.string()),
}


def arrow_type(node: Node) -> pa.DataType:
    """Return the column type of a node."""
    if node.kind is Kind.OBJECT:
        fields = [pa.field(child.name, arrow_type(child.node)) for child in node.fields]
        return pa.struct([*fields, *([pa.field(node.extras, pa.string())] if node.extras else [])])
    if node.kind is Kind.ARRAY and node.item is not None:
        return pa.list_(arrow_type(node.item))
    return pa.string() if node.kind in JSON_TEXT else _SCALARS[node.kind]


def lowering(node: Node) -> Lowering | None:
    """Return what has to be done to a node's values before pyarrow takes them; None for nothing."""
    if node.kind in JSON_TEXT:
        return lambda value: orjson.dumps(value).decode()
    if node.kind is Kind.DATE:
        return dt.date.fromisoformat
    if node.kind is Kind.DATETIME:
        return dt.datetime.fromisoformat
    if node.kind is Kind.OBJECT:
        inner = {child.name: step for child in node.fields if (step := lowering(child.node)) is not None}
        if node.extras:
            return _lower_open_object(node, inner)
        return _lower_object(inner) if inner else None
    step = lowering(node.item) if node.item is not None else None
    return _lower_array(step) if step else None


JSON_MEMBERS = "\n{}"
"""The last step of a path to a JSON object whose members belong to the object around it; no property is named so."""


def json_text_paths(node: Node) -> tuple[tuple[str, ...], ...]:
    """Return where values stand as JSON text: property names on the way, "[]" for a list's items."""
    if node.kind in JSON_TEXT:
        return ((),)
    steps = [(child.name, child.node) for child in node.fields] + ([("[]", node.item)] if node.item else [])
    extras = ((node.extras, JSON_MEMBERS),) if node.extras else ()
    return (*((name, *path) for name, inner in steps for path in json_text_paths(inner)), *extras)


def sound(array: pa.Array, absent: pa.Array | None = None) -> pa.Array:
    """Return an array of JSON values whose dictionaries are sound also where a struct is null.

    There `pa.array` puts index 0 (pyarrow 26), even into an empty dictionary; joining such
    arrays reads past the dictionary's end: wild values, or the death of the process.
    `absent`: where the parent is null.
    """
    kind = array.type
    if not _holds_dictionary(kind):
        return array
    if pa.types.is_dictionary(kind):
        if absent is None:
            return array
        return pa.DictionaryArray.from_arrays(pc.if_else(absent, None, array.indices), array.dictionary)
    gone = array.is_null() if absent is None else pc.or_(array.is_null(), absent)
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(array.offsets, sound(array.values), type=kind, mask=gone)
    children = [sound(array.field(place), gone) for place in range(kind.num_fields)]
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=gone)


def _holds_dictionary(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return True
    return any(_holds_dictionary(kind.field(place).type) for place in range(kind.num_fields))


def _lower_object(inner: dict[str, Lowering]) -> Lowering:
    def lower(value: dict[str, Any]) -> dict[str, Any]:
        changed = {name: step(value[name]) for name, step in inner.items() if value.get(name) is not None}
        return value | changed

    return lower


def _lower_open_object(node: Node, inner: dict[str, Lowering]) -> Lowering:
    names = frozenset(child.name for child in node.fields)
    named = _lower_object(inner)

    def lower(value: dict[str, Any]) -> dict[str, Any]:
        others = {key: item for key, item in value.items() if key not in names}
        known: dict[str, Any] = named({key: item for key, item in value.items() if key in names})
        return known | {node.extras: orjson.dumps(others).decode() if others else None}

    return lower


def _lower_array(step: Lowering) -> Lowering:
    return lambda value: [None if item is None else step(item) for item in value]
