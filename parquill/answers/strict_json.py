"""Strict JSON parser: refuses what orjson accepts silently.

A key that stands twice with different values is a contradiction (orjson keeps the last one),
`NaN` and numbers too large for a double are no JSON numbers, and a number that a double would round is read as a
`Decimal` (`exact_numbers.py`). orjson is ten times as fast, so `load_fast` uses it, looks for repeated keys by counting
quotation marks, and for rounded numbers by the floats it finds.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import orjson

from parquill.answers.exact_numbers import may_be_rounded, read_number


class RepeatedKeyError(ValueError):
    """A key stands twice in one object, with different values."""


def load_strictly(text: str) -> Any:
    """Read a whole JSON text, its numbers as doubles.

    Raises `ValueError` (`RepeatedKeyError`, `JSONDecodeError`) or `RecursionError`.
    """
    return _DOUBLES.decode(text)


def load_fast(text: str) -> Any:
    """Read a whole JSON text as `STRICT` does, mostly at orjson's speed; raises `ValueError`.

    A dropped member takes its quotation marks along, so equal counts before and after prove that
    no key occurs twice. An escape like `\\u0022` would spoil the count: those texts are read slowly.
    """
    value = orjson.loads(text)
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"cannot be kept: {error}") from None
    if "\\u" in text or text.count('"') != written.count(b'"') or may_be_rounded(value, text):
        return STRICT.decode(text)
    return value


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal, types included: 1, 1.0 and true are three values."""
    return written(one) == written(other)


def written(value: Any, *, ascii_only: bool = True) -> str:
    """Return a text that two JSON values share only where they are the same, whatever their keys' order."""
    return json.dumps(value, sort_keys=True, default=_digits, ensure_ascii=ascii_only)


def _digits(number: Decimal) -> dict[str, str]:
    """Write a number that no double carries, as nothing else is written."""
    return {"decimal": str(number.normalize())}


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        for key, value in pairs:
            if not same(value, members[key]):
                raise RepeatedKeyError(f"the key {key!r} stands twice with different values")
    return members


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"the number {literal[:40]} is too large")
    return number


def _no_constant(literal: str) -> float:
    raise ValueError(f"{literal} is not a JSON number")


_DOUBLES = json.JSONDecoder(object_pairs_hook=_members, parse_float=_finite, parse_constant=_no_constant)
STRICT = json.JSONDecoder(object_pairs_hook=_members, parse_float=read_number, parse_constant=_no_constant)
"""Reads an answer: no number is rounded, what no double carries is a `Decimal`."""
RELAXED = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=read_number, parse_constant=_no_constant, strict=False
)
"""Takes raw line breaks inside strings as well."""
