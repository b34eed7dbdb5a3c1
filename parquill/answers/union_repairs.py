"""Free repairs inside a union: each branch is tried, and one reading has to be left.

A value of a union is read as a value of each branch, with the repairs of `coerce.py`. Where one branch takes it as
it stands, nothing is repaired; where exactly one repaired value fits, it is taken, its repairs noted at their places.
A branch that needs no list around or out of the value comes before one that does. In a discriminated union the
other branches fall out, since the discriminator's value is none of theirs. Two readings are a fault.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from parquill.answers.coerce import NOTHING, coerce, inside
from parquill.answers.schema_tree import Kind, Node
from parquill.answers.strict_json import same

_PYTHON: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float, Decimal),
    Kind.BOOLEAN: (bool,),
    Kind.ARRAY: (list,),
    Kind.OBJECT: (dict,),
    Kind.MAP: (dict,),
    Kind.ANY: (object,),
}


def repair_unions(node: Node, value: Any, where: str, notes: list[str], *, closed: bool) -> Any:
    """Return a value with the repairs inside its unions made, each added to `notes`; itself where there are none.

    Args:
        node: What the value should be.
        value: A value that `coerce` has been through; it is left as it was.
        where: Its place in the answer.
        notes: Receives the repairs.
        closed: Whether an object with keys that its branch does not name is taken for one that does not fit.
    """
    if node.kind is Kind.UNION and value is not None:
        return _repair_union(node, value, where, notes, closed=closed)
    if node.kind is Kind.ARRAY and isinstance(value, list) and node.item is not None:
        items = [repair_unions(node.item, one, f"{where}[{i}]", notes, closed=closed) for i, one in enumerate(value)]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if not isinstance(value, dict):
        return value
    inner = {child.name: child.node for child in node.fields}
    if node.kind is Kind.MAP and node.item is not None:
        inner = dict.fromkeys(value, node.item)
    changed = {}
    for key, child in inner.items():
        if key in value:
            new = repair_unions(child, value[key], inside(where, key), notes, closed=closed)
            if new is not value[key]:
                changed[key] = new
    return {key: changed.get(key, item) for key, item in value.items()} if changed else value


def _repair_union(node: Node, value: Any, where: str, notes: list[str], *, closed: bool) -> Any:
    readings: list[tuple[Any, list[str]]] = []
    for branch in node.branches:
        how: list[str] = []
        read = repair_unions(branch, coerce(branch, value, where, how), where, how, closed=closed)
        if not _fits(branch, read, closed=True):
            if not closed and _fits(branch, value, closed=False):
                return value
            continue
        if not how:
            return value
        readings.append((read, how))
    structural = {f"list:{where}", f"string:{where}"}
    plain = [one for one in readings if not structural.intersection(one[1])] or readings
    if plain and all(same(plain[0][0], other) for other, _ in plain):
        read, how = min(plain, key=lambda one: len(one[1]))
        notes.extend(how)
        return read
    if not readings and node.nullable and isinstance(value, str) and value.strip().casefold() in NOTHING:
        notes.append(f"null:{where}")
        return None
    return value


def _fits(node: Node, value: Any, *, closed: bool) -> bool:
    """Tell whether a value has a node's types, names and fixed values; the last word is `validator.py`'s."""
    if value is None:
        return node.nullable or node.kind is Kind.ANY
    if node.kind is Kind.UNION:
        return any(_fits(branch, value, closed=closed) for branch in node.branches)
    if isinstance(value, bool) and node.kind not in (Kind.BOOLEAN, Kind.ANY):
        return False
    whole = node.kind is Kind.INTEGER and isinstance(value, float) and value.is_integer()
    if not (whole or isinstance(value, _PYTHON.get(node.kind, (str,)))) or (node.values and value not in node.values):
        return False
    if node.kind is Kind.ARRAY and node.item is not None:
        return all(_fits(node.item, item, closed=closed) for item in value)
    if node.kind is not Kind.OBJECT:
        return True
    names = {child.name for child in node.fields}
    if (closed and not node.extras and value.keys() - names) or any(
        child.required and child.name not in value for child in node.fields
    ):
        return False
    return all(_fits(child.node, value[child.name], closed=closed) for child in node.fields if child.name in value)
