"""Divides amounts of money: the only module that does.

A free model, a row that was not billed and an endpoint that says nonsense all occur. Where there is
nothing to divide by there is no ratio, and the caller says what holds then.
"""

from __future__ import annotations

import math


def ratio(amount: float, of: float | None) -> float | None:
    """Return how often `of` goes into `amount`; None where `of` is absent, zero, negative or no finite number.

    Args:
        amount: Money in any unit; an integer may be of any size.
        of: Money in the same unit.
    """
    if of is None or not of > 0 or not math.isfinite(_as_float(of)) or not math.isfinite(_as_float(amount)):
        return None
    return _as_float(amount) / _as_float(of) if _as_float(of) else None


def differs(amount: int, from_: int, *, by: float) -> bool:
    """Return whether two amounts differ by more than this share of the second; of nothing, by anything at all."""
    share = ratio(abs(amount - from_), abs(from_))
    return amount != from_ if share is None else share > by


def change_told(amount: int, from_: int) -> str:
    """Say by how much an amount is above or below another, as "50 % more"; nothing where that is no share of it."""
    times = ratio(amount, from_)
    if times is None:
        return ""
    return f"{abs(times - 1):.0%} {'more' if times > 1 else 'less'}".replace("%", " %")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
