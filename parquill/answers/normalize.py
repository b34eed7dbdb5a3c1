"""Brings a valid answer into its normal form, and refuses the last values that a validator lets pass.

JSON Schema calls 3.0 an integer and has no opinion about how many digits survive; columns
have. So 3.0 becomes 3, dates become ISO, and a number that a column cannot hold exactly
(an integer literal beyond 2**53 that was read as a float) is refused, never rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parquill.answers.dates import iso_datetime, read_date, read_datetime
from parquill.answers.optional_nulls import null_remover
from parquill.answers.schema_tree import JSON_TEXT, Kind, Node

EXACT = 2**53
"""Up to here a double tells neighbouring integers apart (IEEE 754)."""

Step = Callable[[Any], Any]


class UnfitError(ValueError):
    """A value that fits the schema, but not its column."""


def normaliser(node: Node) -> Step | None:
    """Return a function from a valid value (not null) to its normal form; None where that is itself.

    The function raises `UnfitError` with a message for people.
    """
    if node.kind in _STEPS:
        return _STEPS[node.kind]
    if node.kind in JSON_TEXT:
        return _text_step(null_remover(node))
    if node.kind is Kind.OBJECT:
        inner = {child.name: step for child in node.fields if (step := normaliser(child.node)) is not None}
        return _object_step(inner) if inner else None
    step = normaliser(node.item) if node.item is not None else None
    return _array_step(step) if step else None


def _object_step(inner: dict[str, Step]) -> Step:
    def normal(value: dict[str, Any]) -> dict[str, Any]:
        for name, step in inner.items():
            found = value.get(name)
            if found is not None:
                value[name] = step(found)
        return value

    return normal


def _array_step(step: Step) -> Step:
    return lambda value: [None if item is None else step(item) for item in value]


def _text_step(without_nulls: Step | None) -> Step:
    """JSON text shows a left out property as left out; in a column it is a null either way."""
    if without_nulls is None:
        return _exact_tree
    return lambda value: _exact_tree(without_nulls(value))


def _integer(value: float) -> int:
    if isinstance(value, int):
        return value
    if abs(value) >= EXACT:
        raise UnfitError(f"{value!r} has more digits than were read exactly")
    return int(value)


def _number(value: float) -> float:
    if isinstance(value, int) and abs(value) > EXACT and int(float(value)) != value:
        raise UnfitError(f"{value} cannot be held exactly by a double")
    return value


def _date(value: str) -> str:
    day = read_date(value)
    if day is None:
        raise UnfitError(f"{value!r} is not a day of the calendar")
    return day.isoformat()


def _datetime(value: str) -> str:
    read = read_datetime(value)
    if read is None:
        raise UnfitError(f"{value!r} is not a moment between the years 1 and 9999")
    return iso_datetime(read[0])


def _exact_tree(value: Any) -> Any:
    """JSON text is made from the value: an integer that was read as a float would change in it."""
    if isinstance(value, float) and value.is_integer() and abs(value) >= EXACT:
        raise UnfitError(f"{value!r} has more digits than were read exactly")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _exact_tree(item)
    return value


_STEPS: dict[Kind, Step] = {
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
}
