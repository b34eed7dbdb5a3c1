"""Totals over the rows to send, and the 95 % interval around their cost.

Prompt tokens are off by one error that all rows share (`mean_error`, a share of their texts) and by one of
their own each (`spread`); answers the same, in tokens. The parts are independent, so variances add:

    prompt:  (mean_error x sum of texts)**2 + spread**2 x sum of squared texts
    answers: (mean_error x n)**2 + spread**2 x n

Where several providers may answer, the interval reaches from the cheapest to the dearest of them. The
statistics are floats; from tokens on, money is integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce

from parquill.estimate.values import Cost
from parquill.prices import Price, Rates
from parquill.summary import TokenCounts
from parquill.tokens import LengthEstimate

SIGMAS = 1.96
"""95 % of a normal distribution lie within so many standard deviations."""

_ATTO_PER_PICO = 10**6


@dataclass(slots=True)
class Sums:
    """What the walk adds up over rows to send."""

    rows: int = 0
    images: int = 0
    prompt_tokens: int = 0
    prompt_pico: int = 0
    """The prompts' and requests' expected cost, tiers and all; answers come on top."""
    worst_pico: int = 0
    text_tokens: float = 0.0
    """Of the prompts, what stands in texts: pictures are known exactly."""
    text_squares: float = 0.0


@dataclass(slots=True)
class GroupSums:
    """The same for the rows of one value of a column."""

    rows: int = 0
    prompt_tokens: int = 0
    prompt_pico: int = 0


@dataclass(frozen=True, slots=True)
class Errors:
    """How far off the counter may be, as shares of texts' tokens (see `TokenCounter`)."""

    mean_error: float
    spread: float


@dataclass(frozen=True, slots=True)
class Totals:
    """The walk's sums with what is known of answers and prices."""

    sums: Sums
    length: LengthEstimate
    errors: Errors
    price: Price | None
    groups: dict[str, GroupSums] = field(default_factory=dict)

    @property
    def tokens(self) -> TokenCounts:
        """Expected tokens of all rows to send."""
        return TokenCounts(self.sums.prompt_tokens, self.answers(self.sums.rows))

    def answers(self, rows: int) -> int:
        """Expected tokens of so many answers."""
        return round(rows * self.length.expected)

    def expected_pico(self, prompt_pico: int, rows: int) -> int | None:
        """Expected cost of rows whose prompts cost so much; None where no price is known."""
        if self.price is None:
            return None
        return prompt_pico + self.price.rates.completion * self.answers(rows) // _ATTO_PER_PICO

    def cost(self) -> Cost | None:
        """The cost of all rows to send, and its interval; None where no price is known."""
        sums = self.sums
        expected = self.expected_pico(sums.prompt_pico, sums.rows)
        if self.price is None or expected is None:
            return None
        half = self._half_width()
        cheapest, dearest = _span(self.price)
        low = min(expected, self._at(cheapest, expected)) - half
        high = max(expected, self._at(dearest, expected)) + half
        worst = max(sums.worst_pico, expected)
        return Cost(expected, max(0, low), min(high, worst), worst)

    def _half_width(self) -> int:
        """Half of the interval in pico-USD, at the expected rates."""
        assert self.price is not None
        sums, length, errors, rates = self.sums, self.length, self.errors, self.price.rates
        prompt = math.hypot(errors.mean_error * sums.text_tokens, errors.spread * math.sqrt(sums.text_squares))
        answer = math.hypot(length.mean_error * sums.rows, length.spread * math.sqrt(sums.rows))
        squares = (rates.prompt * math.ceil(SIGMAS * prompt)) ** 2 + (
            rates.completion * math.ceil(SIGMAS * answer)
        ) ** 2
        return math.isqrt(squares) // _ATTO_PER_PICO

    def _at(self, rates: Rates | None, expected: int) -> int:
        """The same work at other rates."""
        if rates is None:
            return expected
        sums = self.sums
        atto = rates.atto(sums.prompt_tokens, self.answers(sums.rows))
        return (atto + (sums.rows - 1) * rates.request + sums.images * rates.image) // _ATTO_PER_PICO


def _span(price: Price) -> tuple[Rates | None, Rates | None]:
    """The cheapest and the dearest rates a request may meet; None where one provider is expected to answer."""
    offers = [offer.rates for offer in price.offers if offer.healthy]
    if len(offers) < 2 or price.rates in offers:
        return None, None
    return reduce(_lower, offers), reduce(Rates.upper, offers)


def _lower(one: Rates, other: Rates) -> Rates:
    return Rates(
        min(one.prompt, other.prompt),
        min(one.completion, other.completion),
        min(one.request, other.request),
        min(one.image, other.image),
    )
