"""Takes the nulls out of an answer that stand for properties left out.

Strict endpoints want every property, so a model writes null where it has nothing to say, also where the
schema allows the property to be left out, but no null. Without those nulls the answer fits the user's schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parquill.answers.schema_tree import Kind, Node

Step = Callable[[Any], Any]


def null_remover(node: Node) -> Step | None:
    """Return a function that gives a value of a node without such nulls; None where there can be none.

    The function takes any value, also one of a wrong type, and leaves the given one as it is.
    """
    if node.kind is Kind.OBJECT:
        return _of_object(node)
    if node.kind is Kind.UNION:
        return _of_union(node)
    step = null_remover(node.item) if node.item is not None else None
    if step is None:
        return None
    return _of_items(step) if node.kind is Kind.ARRAY else _of_members(step)


def _of_object(node: Node) -> Step | None:
    optional = frozenset(child.name for child in node.fields if child.null_is_absent)
    inner = {child.name: step for child in node.fields if (step := null_remover(child.node)) is not None}
    if not optional and not inner:
        return None

    def without(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if optional and None in value.values():
            value = {key: item for key, item in value.items() if item is not None or key not in optional}
        for name, step in inner.items():
            found = value.get(name)
            if found is not None and (shorter := step(found)) is not found:
                value = {**value, name: shorter}
        return value

    return without


def _of_items(step: Step) -> Step:
    def without(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        items = [step(item) for item in value]
        return value if all(map(_is, items, value)) else items

    return without


def _of_members(step: Step) -> Step:
    def without(value: Any) -> Any:
        return {key: step(item) for key, item in value.items()} if isinstance(value, dict) else value

    return without


def _is(one: Any, other: Any) -> bool:
    return one is other


def _of_union(node: Node) -> Step | None:
    steps = [(branch, null_remover(branch)) for branch in node.branches]
    if all(step is None for _, step in steps):
        return None

    def without(value: Any) -> Any:
        fitting = [step for branch, step in steps if _could_be(branch, value)]
        return fitting[0](value) if len(fitting) == 1 and fitting[0] is not None else value

    return without


def _could_be(branch: Node, value: Any) -> bool:
    """Tell whether an object has the names and the fixed values of a branch."""
    if branch.kind is not Kind.OBJECT or not isinstance(value, dict):
        return False
    inner = {child.name: child for child in branch.fields}
    if not branch.extras and value.keys() - inner.keys():
        return False
    return all(
        child.node.kind is not Kind.ENUM or value.get(child.name) in (None, *child.node.values)
        for child in branch.fields
        if child.required
    )
