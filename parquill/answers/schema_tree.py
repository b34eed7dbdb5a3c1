"""The schema as Parquill understands it: a tree without references, one node for each value.

A node knows its kind, and through it everything else: its Arrow type (`arrow.py`), the JSON
Schema that is sent and the one that validates (here), the free repairs (`coerce.py`). An optional
property is nullable: strict endpoints want every property to be required, so a model says `null`
where it has nothing to say, and an absent property and a null one are the same null in the output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


class Kind(StrEnum):
    """What a value is; `UNION`, `MAP` and `ANY` become JSON text in the output."""

    OBJECT = "object"
    ARRAY = "array"
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "date-time"
    ENUM = "enum"
    UNION = "union"
    MAP = "map"
    ANY = "any"


WRAPPER = "answer"
"""The one property of the object that is asked for where an answer is no object itself."""

JSON_TEXT = frozenset({Kind.UNION, Kind.MAP, Kind.ANY})
"""Kinds without a column type of their own: they are kept as JSON text."""

JSON_TYPE = {
    Kind.OBJECT: "object",
    Kind.MAP: "object",
    Kind.ARRAY: "array",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "boolean",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One value of an answer. Which of the later fields are used depends on the kind."""

    kind: Kind
    nullable: bool = False
    description: str = ""
    constraints: dict[str, Any] = field(default_factory=dict)
    """Keywords passed on as they are: maxLength, pattern, minimum, uniqueItems, format…"""
    values: tuple[Any, ...] = ()
    """The allowed values, without null: of an ENUM (strings), or of a scalar with `enum`."""
    fields: tuple[Field, ...] = ()
    item: Node | None = None
    """What an ARRAY or a MAP holds."""
    branches: tuple[Node, ...] = ()
    format: str = ""
    """A format that decides no type (email, uri, …): checked in every answer, no part of the fingerprint."""
    extras: str = ""
    """Of an OBJECT: the field that holds other keys, as JSON text; "" where there may be none."""


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an OBJECT."""

    name: str
    node: Node
    """Nullable also where the property may be left out."""
    required: bool
    null_is_absent: bool = False
    """The schema allows no null here: where a model writes one, the property is taken as left out."""


def wrapped(node: Node) -> Node:
    """Return an object that holds a node: endpoints want an object on top."""
    return Node(Kind.OBJECT, fields=(Field(WRAPPER, node, required=True),))


def digest_schema(node: Node) -> dict[str, Any]:
    """Return what of a node the fingerprint holds.

    Frozen: a change would ask every row of earlier outputs again.
    """
    return _emit(node)


def column_schema(node: Node) -> dict[str, Any]:
    """Return the JSON Schema of what the node's column can hold: types alone, closed objects, 64-bit integers.

    Whether an answer is valid is decided by the user's whole schema (`validator.py`); this one makes sure that
    nothing is lost on the way into the column.
    """
    if node.kind in (Kind.UNION, Kind.ANY):
        return {}
    name = JSON_TYPE.get(node.kind, "string")
    out: dict[str, Any] = {"type": [name, "null"] if node.nullable else name}
    if node.kind is Kind.INTEGER:
        out |= {"minimum": INT64_MIN, "maximum": INT64_MAX}
    elif node.kind is Kind.OBJECT:
        out["properties"] = {child.name: column_schema(child.node) for child in node.fields}
        out["required"] = [child.name for child in node.fields if child.required]
        out["additionalProperties"] = bool(node.extras)
    elif node.kind is Kind.ARRAY and node.item is not None:
        out["items"] = column_schema(node.item)
    return out


def _emit(node: Node) -> dict[str, Any]:
    out: dict[str, Any] = {"description": node.description} if node.description else {}
    if node.kind is Kind.UNION:
        branches = [_emit(branch) for branch in node.branches]
        if node.nullable:
            branches.append({"type": "null"})
        return out | {"anyOf": branches}
    if node.kind is not Kind.ANY:
        name = JSON_TYPE.get(node.kind, "string")
        out["type"] = [name, "null"] if node.nullable else name
    if node.values:
        out["enum"] = [*node.values, None] if node.nullable else list(node.values)
    out |= node.constraints
    if node.kind is Kind.OBJECT:
        out["properties"] = {child.name: _emit(child.node) for child in node.fields}
        out["required"] = [child.name for child in node.fields]
        out["additionalProperties"] = bool(node.extras)
    elif node.item is not None:
        out["items" if node.kind is Kind.ARRAY else "additionalProperties"] = _emit(node.item)
    return out
