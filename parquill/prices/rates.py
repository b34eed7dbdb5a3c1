"""Rates and prices as exact integers.

A rate is held in atto-USD (10**-18 USD) for one token: $0.01703 per million tokens is
17,030,000,000 of them, so products are exact and only the last step to pico-USD rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

ATTO = 10**18
ATTO_PER_PICO = 10**6


@dataclass(frozen=True, slots=True)
class Rates:
    """What is charged, in atto-USD: for each token, each request and each picture sent."""

    prompt: int
    completion: int
    request: int = 0
    image: int = 0

    def atto(self, prompt_tokens: int, completion_tokens: int, images: int = 0) -> int:
        """The exact cost of one request, in atto-USD."""
        return self.prompt * prompt_tokens + self.completion * completion_tokens + self.request + self.image * images

    def upper(self, other: Rates) -> Rates:
        """The dearer of the two, field by field."""
        return Rates(
            max(self.prompt, other.prompt),
            max(self.completion, other.completion),
            max(self.request, other.request),
            max(self.image, other.image),
        )


@dataclass(frozen=True, slots=True)
class Tier:
    """Other rates for prompts of strictly more than `above` tokens."""

    above: int
    rates: Rates


def parse_rate(value: object) -> Fraction | None:
    """Read a price in USD: a decimal string or a number; None where there is none.

    A negative price ("-1") marks one that varies, as a router's; it is no price either.
    """
    try:
        usd = Decimal(str(value).strip())
    except ArithmeticError:  # no number: a word, a list, true
        return None
    # Nothing costs 1,000 USD a token or less than an atto-USD; an exponent beyond that is no price.
    if not usd.is_finite() or usd < 0 or usd > 1000 or (usd and usd.adjusted() < -18):
        return None
    return Fraction(usd)


def to_atto(usd: Fraction) -> int:
    """USD to atto-USD, rounded up: what is finer than that must not be lost from a bound."""
    return -(-usd.numerator * ATTO // usd.denominator)


def mean_rates(rates: Sequence[Rates], weights: Sequence[Fraction]) -> Rates:
    """The weighted mean, field by field, rounded half to even; weights need not sum to one."""
    total = sum(weights, Fraction(0))

    def mean(values: Sequence[int]) -> int:
        return round(sum((value * weight for value, weight in zip(values, weights, strict=True)), Fraction(0)) / total)

    return Rates(
        mean([rate.prompt for rate in rates]),
        mean([rate.completion for rate in rates]),
        mean([rate.request for rate in rates]),
        mean([rate.image for rate in rates]),
    )


def parse_rates(pricing: Mapping[str, object], factor: Fraction = Fraction(1)) -> Rates | None:
    """Read a `pricing` object (USD per token); None where the prompt's or answer's price is missing.

    A missing fee is none; a fee that varies ("-1") makes the whole price unknown.
    """
    prompt, completion = parse_rate(pricing.get("prompt")), parse_rate(pricing.get("completion"))
    fees = [
        Fraction(0) if (raw := pricing.get(key)) is None or raw == "" else parse_rate(raw)
        for key in ("request", "image")
    ]
    request, image = fees
    if prompt is None or completion is None or request is None or image is None:
        return None
    return Rates(*(to_atto(usd * factor) for usd in (prompt, completion, request, image)))
