"""The price of a model: what a request is expected to cost, and what it can cost at most."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum

from parquill.prices.offers import EndpointOffer
from parquill.prices.rates import ATTO_PER_PICO, Rates, Tier


class PriceSource(StrEnum):
    """Where a price was read."""

    JOB = "job"
    ENDPOINT = "endpoint"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model as this run may be billed for it.

    `rates` is what is expected, `ceiling` the most that any provider the request may reach
    asks, without discounts and at the most expensive hour: what a budget must reserve. Context and
    output limits are in tokens, the largest any provider offers; `uptime` is a percentage.
    """

    rates: Rates
    ceiling: Rates
    source: PriceSource
    as_of: dt.date | None = None
    provider: str | None = None
    context_length: int | None = None
    max_completion_tokens: int | None = None
    quantization: str | None = None
    uptime: float | None = None
    tiers: tuple[Tier, ...] = ()
    offers: tuple[EndpointOffer, ...] = field(default=(), repr=False)

    def cost_pico(self, prompt_tokens: int, completion_tokens: int, images: int = 0) -> int:
        """The expected cost of one request in pico-USD, rounded half to even."""
        rates = self.rates
        for tier in self.tiers:
            if prompt_tokens > tier.above:
                rates = tier.rates
        return _half_even(rates.atto(prompt_tokens, completion_tokens, images), ATTO_PER_PICO)

    def worst_pico(self, prompt_upper: int, max_completion: int, images: int = 0) -> int:
        """The most one request can cost in pico-USD, rounded up."""
        return -(-self.ceiling.atto(prompt_upper, max_completion, images) // ATTO_PER_PICO)

    def for_provider(self, provider: str | None) -> Price:
        """The price at the provider that answered; this one where its offer is not known."""
        if provider is None or self.source is not PriceSource.ENDPOINT:
            return self
        for offer in self.offers:
            if offer.is_named(provider):
                return replace(self, rates=offer.rates, tiers=offer.tiers, provider=offer.provider)
        return self


def _half_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))
