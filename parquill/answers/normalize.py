"""Brings a valid answer into its normal form, and refuses the last values that a validator lets pass.

JSON Schema calls 3.0 an integer and has no opinion about how many digits survive; columns
have. So 3.0 and 3e0 become 3, dates become ISO, and a number that a column cannot hold exactly
is refused, never rounded. What no double carries arrives here as a `Decimal` (`exact_numbers.py`) and
leaves as an int or a float.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from parquill.answers.dates import iso_datetime, read_date, read_datetime
from parquill.answers.exact_numbers import to_double, to_integer
from parquill.answers.optional_nulls import null_remover
from parquill.answers.schema_tree import INT64_MIN, JSON_TEXT, Kind, Node

UINT64_MAX = 2**64 - 1
"""The ledger, which keeps answers as JSON, reads larger integers back as doubles."""
_SHOWN_CHARS = 40

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
        if node.extras:
            return _open_object_step(inner, frozenset(child.name for child in node.fields))
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


def _open_object_step(inner: dict[str, Step], named: frozenset[str]) -> Step:
    """The keys that the schema does not name become JSON text."""
    normal = _object_step(inner)
    return lambda value: normal({key: item if key in named else _exact_tree(item) for key, item in value.items()})


def _array_step(step: Step) -> Step:
    return lambda value: [None if item is None else step(item) for item in value]


def _text_step(without_nulls: Step | None) -> Step:
    """JSON text shows a left out property as left out; in a column it is a null either way."""
    if without_nulls is None:
        return _exact_tree
    return lambda value: _exact_tree(without_nulls(value))


def _integer(value: float | Decimal) -> int:
    whole = value if isinstance(value, int) else to_integer(value)
    if whole is None:
        raise UnfitError(f"{shortened(value)} is no whole number of 64 bits")
    return whole


def _number(value: int | float | Decimal) -> float:
    if isinstance(value, float):
        return value
    double = to_double(value)
    if double is None:
        raise UnfitError(f"{shortened(value)} has more digits than a double holds: give at most 15")
    return value if isinstance(value, int) and INT64_MIN <= value <= UINT64_MAX else double


def shortened(value: Any) -> str:
    """Return a value for a message, at most 40 characters of it."""
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


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
    """Bring the numbers of a value that becomes JSON text to such as JSON readers hold exactly."""
    if isinstance(value, dict):
        return {key: _exact_tree(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact_tree(item) for item in value]
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, int) and not INT64_MIN <= value <= UINT64_MAX:
        raise UnfitError(f"{shortened(value)} has more than 64 bits")
    return value


_STEPS: dict[Kind, Step] = {
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
}
