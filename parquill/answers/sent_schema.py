"""The JSON Schema that is sent with a request, made from the tree in an endpoint's dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parquill.answers.schema_dialects import ANY, DROPPABLE, SchemaDialect
from parquill.answers.schema_tree import JSON_TYPE, Kind, Node


def request_schema(node: Node, dialect: SchemaDialect = ANY) -> dict[str, Any]:
    """Return the JSON Schema that is sent: closed objects, every property required.

    This is what OpenAI's and its followers' `strict` mode asks for. `oneOf` is sent as `anyOf`, which those endpoints
    know; the answer is still validated as `oneOf`. Words that the dialect leaves out are checked in the answer.
    """
    out: dict[str, Any] = {"description": node.description} if node.description else {}
    if node.kind is Kind.UNION:
        branches = [request_schema(branch, dialect) for branch in node.branches]
        return out | {"anyOf": [*branches, {"type": "null"}] if node.nullable else branches}
    if node.kind is not Kind.ANY:
        name = JSON_TYPE.get(node.kind, "string")
        out["type"] = [name, "null"] if node.nullable else name
    if node.values:
        out["enum"] = [*node.values, None] if node.nullable else list(node.values)
    out |= dialect.sent(node.constraints | ({"format": node.format} if node.format else {}))
    if _is_empty(node):
        return {"type": out["type"], "properties": {}, "required": [], "additionalProperties": False}
    if node.kind is Kind.OBJECT:
        out["properties"] = {child.name: request_schema(child.node, dialect) for child in node.fields}
        out["required"] = [child.name for child in node.fields]
        out["additionalProperties"] = bool(node.extras)
    elif node.item is not None:
        out["items" if node.kind is Kind.ARRAY else "additionalProperties"] = request_schema(node.item, dialect)
    return out


def words_in(node: Node, dialect: SchemaDialect) -> frozenset[str]:
    """Return the words of the sent schema that could be left out."""
    own = dialect.sent(node.constraints | ({"format": node.format} if node.format else {})).keys() & DROPPABLE
    return frozenset(own).union(*(words_in(inner, dialect) for inner in _inside(node)))


def is_closed(node: Node) -> bool:
    """Tell whether every object of the schema has named properties alone, as OpenAI's `strict` mode asks."""
    if _is_empty(node) or node.constraints.get("type") == "null":
        return True
    return node.kind not in (Kind.MAP, Kind.ANY) and not node.extras and all(map(is_closed, _inside(node)))


def _is_empty(node: Node) -> bool:
    """Tell whether an object takes no key at all."""
    return node.kind is Kind.MAP and node.constraints.get("maxProperties") == 0


def _inside(node: Node) -> Iterator[Node]:
    yield from (child.node for child in node.fields)
    yield from node.branches
    if node.item is not None:
        yield node.item
