"""How much a template may do for one row: every value it makes has a bound, and so has the work as a whole.

A sandbox keeps a template from reaching things, not from `{{ 'a' * 10**9 }}` or from loops within loops. Here each
operation that can make a long value of short ones is judged before it is computed, and each loop's turn, call, filter
and comparison is charged by the sizes it handles. Work is counted, not timed: a row that is refused once is refused
every time, on any machine; `MOST_WORK` takes a second or two.
"""

from __future__ import annotations

import contextvars
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from parquill.errors import ErrorKind, RowError

LONGEST = 16_000_000
"""Characters of a text: more than any model's context holds."""
MOST_ITEMS = 1_000_000
MOST_BITS = 10_000
MOST_WORK = 20_000_000
_STEP = 20
"""What a loop's turn or a call costs; a text or list that is handled, 1 for each 16 characters or items."""

_WIDE = 100_000
_FIXED = re.compile(r"[:%](?:(?![0-9]{6})[^{}:%a-zA-Z])*+[0-9]{6}")
"""A width or precision that a format itself spells; a match from the last colon before it is enough."""
_GIVEN = re.compile(r"\{[^{}]*\{|%[-+ #0]*[*]|%[^a-zA-Z%]*[.][*]")
"""One that it takes from its values."""

_KEEPING = frozenset({
    "abs", "attr", "batch", "count", "d", "default", "first", "float", "int", "items", "join", "last", "length", "list",
    "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr", "slice", "sum",
})  # fmt: skip
"""Filters that make no text of the whole value."""
_MOST_LISTS = 1_000
"""Lists that `|sum(start=[])` may join: each copies all before it."""

_JUDGED = frozenset({"batch", "center", "format", "indent", "replace", "round", "slice", "tojson", "wordwrap"})
_GROWING = frozenset(
    {
        "center",
        "expandtabs",
        "format",
        "format_map",
        "join",
        "ljust",
        "replace",
        "rjust",
        "to_bytes",
        "translate",
        "zfill",
    }
)
"""Methods whose result may be far longer than what it is made of."""
_SIZED = frozenset({str, bytes, list, tuple, dict})

_work: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("work", default=None)


def begin_row() -> None:
    """Give the template a new row's work, in this thread or task."""
    _work.set([MOST_WORK])


def refuse(what: str) -> RowError:
    """Return the row's error for what a template may not do."""
    return RowError(ErrorKind.BAD_ROW, f"prompt.user: {what} for this row")


def spend(value: object = None, steps: int = 1) -> None:
    """Charge for steps that handle `value`; raises `RowError` where the row's work is used up."""
    left = _work.get()
    if left is None:
        return
    left[0] -= steps * _STEP + (len(value) >> 4 if type(value) in _SIZED else 0)  # type: ignore[arg-type]  # it has one
    if left[0] < 0:
        raise refuse("its loops, calls and filters do more work than a template may")


def concat(pieces: Iterable[str]) -> str:
    """Join a template's, or a macro's, pieces; raises `RowError` where they are too long together."""
    kept = list(pieces)
    _judge(sum(map(len, kept)))
    return "".join(kept)


def each(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the items, each at the price of a step."""
    for item in items:
        spend()
        yield item


def checked(value: Any) -> Any:
    """Return a value that was made, and charge for it; raises `RowError` for one that is too long."""
    if type(value) in _SIZED:
        if len(value) > MOST_ITEMS:
            _judge_length(value, len(value))
        spend(value)
    return value


def text_size(value: Any, depth: int = 0) -> int:
    """Return about how many characters a value has as a text; lists and mappings are looked into."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if depth > 50:
        return LONGEST + 1
    if isinstance(value, Mapping):
        spend(value)
        return sum(text_size(key, depth + 1) + text_size(item, depth + 1) + 4 for key, item in value.items())
    if isinstance(value, (list, tuple)):
        spend(value)
        size = 2
        for item in value:
            size += text_size(item, depth + 1) + 2
            if size > LONGEST:
                break
        return size
    return 20


def judge_text(value: Any) -> None:
    """Raise `RowError` for a value whose text would be too long."""
    if isinstance(value, (list, tuple, dict, str, bytes)):
        _judge(text_size(value))


def joined(items: Iterable[Any]) -> list[Any]:
    """Return items that are to be joined, as long as they are not too long together."""
    kept: list[Any] = []
    size = 0
    for item in each(items):
        size += len(item) if type(item) is str else text_size(item)
        _judge(size)
        kept.append(item)
    return kept


def summed(items: Iterable[Any], start: Any) -> Iterable[Any]:
    """Return what is to be summed up; lists are copied at each addition, so they may not be many."""
    if not isinstance(start, (list, tuple)):
        return each(items)
    lists = joined(items)
    if len(lists) > _MOST_LISTS:
        raise refuse(f"|sum joins more than {_MOST_LISTS:,} lists")
    return lists


def judge_operation(operator: str, left: Any, right: Any) -> None:
    """Raise `RowError` for a sum, product, power or `%` whose result would be too large."""
    if operator == "+" and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        _judge_length(left, len(left) + len(right))
    elif operator == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(many, (str, bytes, list, tuple)) and isinstance(times, int):
                _judge_length(many, len(many) * times)
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MOST_BITS:
            raise refuse("a product is too large to be computed")
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        if left.bit_length() * abs(right) > MOST_BITS:
            raise refuse("a power is too large to be computed")
    elif operator == "%" and isinstance(left, (str, bytes)):
        judge_format(str(left), right if isinstance(right, (tuple, dict)) else (right,))


def judge_format(form: str, values: Sequence[Any] | Mapping[str, Any]) -> None:
    """Raise `RowError` for a format whose result would be too long."""
    given = list(values.values() if isinstance(values, Mapping) else values)
    wide = any(isinstance(one, int) and abs(one) > _WIDE for one in given)
    if _FIXED.search(form) or (wide and _GIVEN.search(form)):
        raise refuse("a format is wider than a text may be")
    longest = max([text_size(one) for one in given], default=0)
    _judge(len(form) + (form.count("{") + form.count("%")) * longest)


def judge_method(value: Any, name: str, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise `RowError` for a method of a text or number whose result would be too long."""
    if name not in _GROWING:
        return
    numbers = [abs(one) for one in (*args, *named.values()) if isinstance(one, int)]
    if name in {"center", "ljust", "rjust", "zfill", "to_bytes"}:
        _judge(max(numbers, default=0))
    elif name == "expandtabs":
        _judge(max(numbers, default=8) * (len(value) + 1))
    elif name == "replace" and len(args) > 1:
        judge_replaced(value, args[0], args[1])
    elif name == "join" and args:
        _judge(len(value) * (len(args[0]) if hasattr(args[0], "__len__") else 0))
    elif name == "translate" and args and isinstance(args[0], Mapping):
        _judge(len(value) * max((text_size(one) for one in args[0].values()), default=0))
    elif name in {"format", "format_map"}:
        judge_format(value, args[0] if name == "format_map" and args else (*args, *named.values()))


def judge_replaced(value: Any, old: Any, new: Any) -> None:
    """Raise `RowError` where a replacement would make a text too long."""
    if isinstance(value, str) and isinstance(old, str) and isinstance(new, str):
        _judge(len(value) + value.count(old) * len(new))
    elif isinstance(value, bytes) and isinstance(new, bytes):
        _judge((len(value) + 1) * max(1, len(new)))


def judge_filter(name: str, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise `RowError` for a filter whose result would be too long."""
    if name not in _KEEPING and type(value) is not str:
        judge_text(value)
    if name not in _JUDGED:
        return
    numbers = [abs(one) for one in (*args, *named.values()) if isinstance(one, int)]
    number = max(numbers, default=0)
    texts = [len(one) for one in (*args, *named.values()) if isinstance(one, str)]
    longest = max(texts, default=0)
    if name == "round" and number > 400:
        raise refuse("|round is asked for more digits than a number has")
    if name in {"batch", "slice"} and number > MOST_ITEMS:
        raise refuse(f"|{name} makes a list of more than {MOST_ITEMS:,} items")
    if name == "center":
        _judge(number)
    elif name in {"indent", "wordwrap"}:
        lines = text_size(value) if name == "wordwrap" else str(value).count("\n") + 1
        _judge(text_size(value) + lines * max(longest, number if name == "indent" else 0))
    elif name == "tojson":
        _judge(number * 1000)
    elif name == "replace" and len(args) > 1:
        judge_replaced(str(value) if not isinstance(value, (str, bytes)) else value, args[0], args[1])
    elif name == "format":
        judge_format(str(value), named or args)


def _judge_length(many: Any, length: int) -> None:
    if isinstance(many, (str, bytes)):
        _judge(length)
    elif length > MOST_ITEMS:
        raise refuse(f"it makes a list of more than {MOST_ITEMS:,} items")


def _judge(size: int) -> None:
    if size > LONGEST:
        raise refuse(f"it makes a text of more than {LONGEST:,} characters")
