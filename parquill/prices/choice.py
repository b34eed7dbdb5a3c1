"""Chooses the price: the job's own, else the endpoint's, else the table's, else none.

Where several providers may answer, what is expected follows OpenRouter's default routing (the
share of a provider is proportional to 1 / price**2), what is reserved is the most expensive. Naming that ceiling as
`provider.max_price` in each request makes it hold: a dearer provider is refused, not billed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from typing import Any

from parquill.job import PriceSettings
from parquill.money import usd_per_million
from parquill.prices.offers import EndpointOffer, allowed_offers
from parquill.prices.price import Price, PriceSource
from parquill.prices.rates import Rates, Tier, mean_rates, to_atto


def choose_price(
    job_price: PriceSettings | None,
    offers: Sequence[EndpointOffer],
    models_entry: EndpointOffer | None,
    table: Price | None,
    *,
    endpoint_is_openrouter: bool,
    provider: Mapping[str, Any],
) -> Price | None:
    """Return the price in the contract's order, or None where it is unknown.

    `offers` and `models_entry` are what the endpoint said, `table` the entry of `data/prices.json`
    (used for OpenRouter only), `provider` the job's routing object. A job's own price keeps the
    endpoint's word on context length, output limit, quantization and uptime.
    """
    reachable = allowed_offers(offers, provider)
    said = _from_offers(reachable, provider) if reachable else None
    if said is None and models_entry is not None and not offers:
        said = _from_offers([models_entry], {})
    if job_price is not None:
        rates = Rates(to_atto(Fraction(job_price.prompt)), to_atto(Fraction(job_price.completion)))
        base = said or Price(rates, rates, PriceSource.JOB)
        return replace(base, rates=rates, ceiling=rates, source=PriceSource.JOB, tiers=(), offers=())
    if said is not None:
        return said
    return table if endpoint_is_openrouter else None


def with_fallbacks(price: Price, fallbacks: Iterable[Price]) -> Price:
    """`price` with a ceiling that holds also when one of the fallback models answers."""
    return replace(price, ceiling=reduce(Rates.upper, (other.ceiling for other in fallbacks), price.ceiling))


def of_several(prices: Sequence[Price], weights: Sequence[float]) -> Price:
    """The price of a row that may go to any of several endpoints: expected by their weights, reserved at the highest.

    A row must fit each of them, so the smallest context and output limit hold.
    """
    first = prices[0]
    if len(prices) == 1:
        return first
    return replace(
        first,
        rates=mean_rates([price.rates for price in prices], [Fraction(weight) for weight in weights]),
        ceiling=reduce(Rates.upper, (price.ceiling for price in prices)),
        provider=None,
        context_length=_smallest(price.context_length for price in prices),
        max_completion_tokens=_smallest(price.max_completion_tokens for price in prices),
        tiers=first.tiers if all(price == first for price in prices) else (),
        offers=(),
    )


def max_price(price: Price) -> dict[str, str]:
    """The ceiling as OpenRouter's `provider.max_price`: decimal strings, USD per million tokens."""
    return {"prompt": usd_per_million(price.ceiling.prompt), "completion": usd_per_million(price.ceiling.completion)}


def _from_offers(offers: Sequence[EndpointOffer], provider: Mapping[str, Any]) -> Price:
    likely = _likely(offers, provider)
    best = likely[0]
    several = len(likely) > 1
    return Price(
        rates=mean_rates([offer.rates for offer in likely], _shares(likely, provider)),
        ceiling=reduce(Rates.upper, (offer.ceiling for offer in offers)),
        source=PriceSource.ENDPOINT,
        provider=best.provider,
        context_length=_largest(offer.context_length for offer in offers),
        max_completion_tokens=_largest(offer.max_completion_tokens for offer in offers),
        quantization=best.quantization,
        uptime=best.uptime,
        tiers=_common_tiers(likely) if several else best.tiers,
        offers=tuple(offers),
    )


def _likely(offers: Sequence[EndpointOffer], provider: Mapping[str, Any]) -> list[EndpointOffer]:
    """The offers that will answer when nothing fails, the cheapest first."""
    by_price = sorted(offers, key=_blended)
    likely = [offer for offer in by_price if offer.healthy] or by_price
    order = provider.get("order")
    for name in order if isinstance(order, (list, tuple)) else ():
        named = [offer for offer in likely if isinstance(name, str) and offer.is_named(name)]
        if named:
            return named[:1]
    free = _blended(likely[0]) == 0
    return likely[:1] if free or provider.get("sort") == "price" else likely


def _shares(offers: Sequence[EndpointOffer], provider: Mapping[str, Any]) -> list[Fraction]:
    """Default routing weighs by 1 / price**2; any other `sort` prefers what is not known here."""
    if len(offers) == 1 or provider.get("sort") is not None:
        return [Fraction(1)] * len(offers)
    return [Fraction(1, _blended(offer) ** 2) for offer in offers]


def _blended(offer: EndpointOffer) -> int:
    return offer.rates.prompt + offer.rates.completion


def _common_tiers(offers: Sequence[EndpointOffer]) -> tuple[Tier, ...]:
    """Only tiers that all share: a mean over different steps would be no provider's price."""
    first = offers[0].tiers
    return first if all(offer.tiers == first for offer in offers) else ()


def _smallest(values: Iterable[int | None]) -> int | None:
    """The smallest that is known; None where none is."""
    return min((value for value in values if value is not None), default=None)


def _largest(values: Iterable[int | None]) -> int | None:
    """None when any is None: that provider states no limit, so none can be enforced here."""
    known = list(values)
    return None if any(value is None for value in known) else max(value for value in known if value is not None)
