"""Numbers of an answer, read without rounding.

orjson and `float` round silently: 2**64 + 1, or a fraction of 30 digits, becomes the nearest double. Here a number's
text decides. A double *carries* a number that it gives back when it is written with as many digits: 0.1 is carried,
2**53 + 1 is not. What a double carries is a float, all else is a `Decimal`, which `normalize.py` turns into what the
column holds, or refuses. No `Decimal` is left in an answer.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

EXACT = 2**53
"""Up to here a double tells neighbouring integers apart (IEEE 754)."""
_SAFE_DIGITS = 15
"""A double carries every number of so many digits (IEEE 754, `DBL_DIG`)."""
_MOST_DIGITS = 800
"""No double has more than 767 digits that count, and no column of decimals more than 76."""

_RUN = _SAFE_DIGITS + 1
_LONG = re.compile(rf"[0-9.]{{{_RUN}}}")
_DIGIT = re.compile(r"[0-9.]")
_TINY = re.compile(r"[eE]-0*[1-9][0-9][0-9]")
"""An exponent with which a number may be so near to zero that a double has fewer digits, or is zero."""


def read_number(literal: str) -> float | Decimal:
    """Return what a JSON number with a fraction or an exponent says.

    Returns:
        A float where it carries the number and is below 2**53, else a `Decimal`: above it a float does not tell
        whether it was written as a whole number.

    Raises:
        ValueError: The number is larger than any double, or has more digits than anything holds.
    """
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"the number {literal[:40]} is too large")
    if abs(number) < EXACT and _carries(number, literal):
        return number
    if len(literal) > _MOST_DIGITS:
        raise ValueError(f"the number {literal[:40]}… has more than {_MOST_DIGITS} digits")
    return Decimal(literal)


def to_double(number: int | Decimal) -> float | None:
    """Return the double that carries a number, or None."""
    try:
        double = float(number)
    except OverflowError:
        return None
    if isinstance(number, int):
        return double if int(double) == number else None
    return double if math.isfinite(double) and _carries(double, str(number)) else None


def to_integer(number: float | Decimal) -> int | None:
    """Return a number as an integer of at most 64 bits with its sign; None where it is none."""
    if isinstance(number, float):
        return int(number) if number.is_integer() and abs(number) < EXACT else None
    if number.adjusted() >= len(str(2**64)):
        return None
    whole = number.to_integral_value()
    return int(whole) if whole == number else None


def may_be_rounded(value: Any, text: str) -> bool:
    """Tell whether a float in a value that orjson read could differ from its number in the text.

    Takes no time to speak of: a float is in doubt from 2**53 on, or where the text has a run of 16 digits, of which
    every 16th character of the text shows one.
    """
    largest = _largest_float(value)
    if largest < 0:
        return False
    if largest >= EXACT or (("e-" in text or "E-" in text) and _TINY.search(text)):
        return True
    return bool(_DIGIT.search(text[_RUN - 1 :: _RUN]) and _LONG.search(text))


def _largest_float(value: Any) -> float:
    """Return the largest size of a float in a JSON value; -1 where there is none."""
    kind = type(value)
    if isinstance(value, float):
        return abs(value)
    largest: float = -1.0
    if kind is dict or kind is list:
        for item in value.values() if kind is dict else value:
            inner = type(item)
            if inner is float or inner is dict or inner is list:
                largest = max(largest, _largest_float(item))
    return largest


def _carries(double: float, literal: str) -> bool:
    mantissa = literal.lower().partition("e")[0]
    digits = len(mantissa.lstrip("-+0.").replace(".", ""))
    if digits <= _SAFE_DIGITS and (double or not digits) and not 0 < abs(double) < 1e-300:
        return True
    if digits > _MOST_DIGITS:
        return False
    written = Decimal(literal)
    # Of two numbers with as many digits that are equally near to the double, its own text may be the other one.
    return written in (Decimal(f"{double:.{max(digits - 1, 0)}e}"), Decimal(repr(double)))
