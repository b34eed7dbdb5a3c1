"""What a template may print, and what stands for everything else.

A null becomes `Null`, any other object that has no text of its own `Inside`: both can be asked and
used within a template as the value itself can, and neither can become a text, whatever filter or
operator it goes through. `<built-in method upper of str object at 0x7f…>` was sent and paid,
and sent again each night, since the address is another one in each process.
"""

from __future__ import annotations

import datetime as dt
import operator
import uuid
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from numbers import Number
from typing import Any, NoReturn

from parquill.errors import ErrorKind, RowError

PLAIN_KINDS = frozenset({str, int, float, bool, Decimal, dt.date, dt.datetime})
"""Kinds of values that hold no null and have a text."""

_WITH_TEXT = (
    str, Number, Decimal, dt.date, dt.time, dt.timedelta, dt.tzinfo, uuid.UUID, list, tuple, dict, type(None),
)  # fmt: skip


_REMEDIES = {
    "a method": "write {name}() to call it",
    "a generator": "write |list or |join(', ') behind it",
    "bytes": "only texts can be sent; where they are one, write .decode() behind them",
    "an object of Python": "write which of its values is meant",
}


class InsideError(RowError):
    """A template uses as a text what has none."""

    def __init__(self, what: str, name: str, columns: Collection[str] = ()) -> None:
        """`name` is the attribute, filter or column that gave it, `columns` are those that it comes from."""
        told = ", ".join(map(repr, sorted(columns)))
        several = "columns" if len(columns) > 1 else "column"
        where = f"column {name!r}" if name in columns else f"{name!r} of {several} {told}" if told else repr(name)
        remedy = _REMEDIES[what].format(name=name)
        super().__init__(ErrorKind.BAD_ROW, f"prompt.user: {where} gives {what}, which is no text: {remedy}")
        self.what = what
        self.name = name
        self.columns = columns


class Null:
    """A null of the manifest within a template: false, `is none`, equal to none, and no text."""

    __slots__ = ("_column",)

    def __init__(self, column: str) -> None:
        self._column = column

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Null)

    def __hash__(self) -> int:
        return hash(None)

    def __str__(self) -> str:
        name = self._column
        raise RowError(
            ErrorKind.BAD_ROW,
            f"column {name!r} is null in this row; write {{{{ {name} or '' }}}} in prompt.user where it may be",
        )

    __repr__ = __str__


class Inside:
    """A value of Python's own within a template (a method, a generator, bytes): it can be used, and has no text."""

    __slots__ = ("columns", "name", "value", "what")

    def __init__(self, value: Any, name: str, columns: Collection[str] = ()) -> None:
        """`name` of the attribute, filter or column that gave it; `columns` that it comes from, where known."""
        self.value = value
        self.what = _what(value)
        self.name = name
        self.columns = columns

    def _refuse(self, *_: object) -> NoReturn:
        raise InsideError(self.what, self.name, self.columns)

    __str__ = __repr__ = __format__ = __html__ = __bytes__ = __int__ = __float__ = __index__ = _refuse
    __add__ = __radd__ = __mod__ = __rmod__ = __mul__ = __rmul__ = _refuse

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Inside) else other))

    def __hash__(self) -> int:
        return hash(self.value)

    def __len__(self) -> int:
        if not hasattr(self.value, "__len__"):  # `list` asks for it and goes on without
            raise TypeError(InsideError(self.what, self.name, self.columns).message)
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value) if hasattr(self.value, "__iter__") else self._refuse()

    def __reversed__(self) -> Iterator[Any]:
        turned: Iterator[Any] = reversed(self.value)
        return turned

    def __contains__(self, item: object) -> bool:
        return item in self.value


_KNOWN = (*_WITH_TEXT, Null, Inside)


def closed(value: Any, name: str) -> Any:
    """Return a value as it is where it has a text, else what stands for it; `name` says what gave it."""
    return value if isinstance(value, _KNOWN) else Inside(value, name)


def first_inside(values: Iterable[Any]) -> Inside | None:
    """Return the first of values, and of lists and mappings among them, that has no text."""
    for value in values:
        within = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        if (found := value if isinstance(value, Inside) else first_inside(within)) is not None:
            return found
    return None


def opened(value: Any) -> Any:
    """Return the value that `closed` was given."""
    return value.value if isinstance(value, Inside) else value


def _what(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if callable(value):
        return "a method"
    return "a generator" if isinstance(value, Iterator) or hasattr(value, "__iter__") else "an object of Python"


def for_template(value: Any, column: str) -> Any:
    """Return a cell as templates get it: nulls and bytes in it, at any depth, cannot become a text."""
    if value is None:
        return Null(column)
    if isinstance(value, list):
        return [for_template(item, column) for item in value]
    if isinstance(value, tuple):
        items = [for_template(item, column) for item in value]
        return value if all(map(operator.is_, items, value)) else tuple(items)
    if isinstance(value, dict):
        return {key: for_template(item, column) for key, item in value.items()}
    return value if isinstance(value, _WITH_TEXT) else Inside(value, column, (column,))


def json_default(value: object) -> Any:
    """Return what stands in JSON for a value that JSON does not know: null for a null, a text for a date or decimal."""
    return None if isinstance(value, Null) else str(value)
