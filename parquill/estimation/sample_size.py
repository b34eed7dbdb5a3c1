"""Computes how many more rows a calibration has to send until the interval is narrow enough.

The interval's width comes from how far usage records scatter, which more of them do not change, and from how many
there are: what they teach of the whole falls with the square root of their number.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace

from parquill.estimation.interval import Errors, Sums, Totals
from parquill.prices import Price, Surplus
from parquill.tokens import AnswerLength, TokenCounter

NARROW = 0.05
"""Half of the interval, as a share of the cost, that a calibration should come under."""

LEAST_SEEN = 10
"""Usage records below this number say too little of how far answers scatter."""

_TENS = 10


def rows_wanted(
    sums: Sums, counter: TokenCounter, length: AnswerLength, price: Price | None, surplus: Surplus
) -> int | None:
    """Return rows to calibrate with, in whole tens, so that half of the interval comes under `NARROW`.

    None where it is narrow already, where too few usage records were seen, and where half of all rows would not do.
    """
    seen = length.count
    if price is None or not sums.rows or seen < LEAST_SEEN:
        return None

    def wide(tens: int) -> bool:
        more = tens * _TENS
        left, worth = _scaled(sums, 1 - more / sums.rows), (seen + more) / seen
        cost = Totals(left, Errors.of(left, counter, length, worth), price, surplus, worth).cost()
        return cost is not None and cost.half >= NARROW

    most = sums.rows // (2 * _TENS)
    if not wide(0) or wide(most):
        return None
    return _TENS * bisect_left(range(most), True, key=lambda tens: not wide(tens))


def _scaled(sums: Sums, share: float) -> Sums:
    """The sums over a share of the rows, as they are on average."""
    return replace(
        sums,
        rows=math.ceil(sums.rows * share),
        prompt_tokens=round(sums.prompt_tokens * share),
        answer_tokens=sums.answer_tokens * share,
        prompt_pico=round(sums.prompt_pico * share),
        images=round(sums.images * share),
        worst_pico=round(sums.worst_pico * share),
        text_tokens=sums.text_tokens * share,
        text_squares=sums.text_squares * share,
    )
