"""Reads an endpoint's prices: `/models/{name}/endpoints` and `/models`.

Both bodies are as OpenRouter documents them (decimal strings in USD per token; `discount` a
number, price x (1 - discount); `overrides` by prompt length or hour, a later one winning).
Other servers leave most of it out; what cannot be read is no offer, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from parquill.prices.rates import Rates, Tier, parse_rate, parse_rates, to_atto


@dataclass(frozen=True, slots=True)
class EndpointOffer:
    """One provider's price for one model; from `/models` the provider is None.

    `rates` are with the discount, `ceiling` without it and at the most expensive override.
    """

    rates: Rates
    ceiling: Rates
    tiers: tuple[Tier, ...] = ()
    provider: str | None = None
    tag: str | None = None
    context_length: int | None = None
    max_completion_tokens: int | None = None
    quantization: str | None = None
    uptime: float | None = None
    healthy: bool = True

    def is_named(self, name: str) -> bool:
        """Whether `name` means this offer: its tag, the tag's base slug, or the provider's name."""
        wanted = name.casefold()
        tag = (self.tag or "").casefold()
        return wanted in {tag, tag.partition("/")[0], (self.provider or "").casefold()} - {""}


def parse_endpoints(body: object) -> list[EndpointOffer]:
    """Read the body of `/models/{name}/endpoints`; offers without a readable price are left out."""
    offers = [_offer(entry) for entry in _entries(_mapping(_mapping(body).get("data")).get("endpoints"))]
    return [offer for offer in offers if offer is not None]


def parse_models(body: object, name: str) -> EndpointOffer | None:
    """Read the model `name` from the body of `/models`; None where it is not listed or has no price."""
    for entry in _entries(_mapping(body).get("data")):
        if name in (entry.get("id"), entry.get("canonical_slug")):
            top = _mapping(entry.get("top_provider"))
            return _offer({**entry, "max_completion_tokens": top.get("max_completion_tokens"), "provider_name": None})
    return None


def allowed_offers(offers: Iterable[EndpointOffer], provider: Mapping[str, Any]) -> list[EndpointOffer]:
    """Those that OpenRouter's routing object `provider` lets a request reach.

    Held to: `only`, `ignore`, `quantizations`, `max_price` (USD per million tokens), and `order`
    where `allow_fallbacks` is false. The other keys can only narrow this further.
    """
    only, ignore = _names(provider.get("only")), _names(provider.get("ignore"))
    order = _names(provider.get("order")) if provider.get("allow_fallbacks") is False else []
    quantizations = _names(provider.get("quantizations"))
    limit = _limit(_mapping(provider.get("max_price")))
    return [
        offer
        for offer in offers
        if (not only or any(map(offer.is_named, only)))
        and not any(map(offer.is_named, ignore))
        and (not order or any(map(offer.is_named, order)))
        and (not quantizations or (offer.quantization or "unknown") in quantizations)
        and all(getattr(offer.rates, key) <= most for key, most in limit.items())
    ]


def _offer(entry: Mapping[str, Any]) -> EndpointOffer | None:
    pricing = _mapping(entry.get("pricing"))
    discount = parse_rate(pricing.get("discount")) or Fraction(0)
    factor = 1 - discount if discount <= 1 else Fraction(1)
    rates, full = parse_rates(pricing, factor), parse_rates(pricing)
    if rates is None or full is None:
        return None
    tiers, ceiling = _overrides(pricing, factor, _token_ceiling(pricing, full))
    return EndpointOffer(
        rates=rates,
        ceiling=ceiling,
        tiers=tiers,
        provider=_text(entry.get("provider_name")),
        tag=_text(entry.get("tag")),
        context_length=_count(entry.get("context_length")),
        max_completion_tokens=_count(entry.get("max_completion_tokens")),
        quantization=_text(entry.get("quantization")),
        uptime=_uptime(entry),
        healthy=entry.get("status") in (None, 0),
    )


def _token_ceiling(pricing: Mapping[str, Any], full: Rates) -> Rates:
    """Tokens of pictures and of reasoning may have a price of their own; the dearer one bounds."""
    image, reasoning = parse_rate(pricing.get("image_token")), parse_rate(pricing.get("internal_reasoning"))
    return full.upper(Rates(to_atto(image or Fraction(0)), to_atto(reasoning or Fraction(0))))


def _overrides(pricing: Mapping[str, Any], factor: Fraction, ceiling: Rates) -> tuple[tuple[Tier, ...], Rates]:
    """Tiers by prompt length, and the ceiling over all overrides.

    Those bound to an hour raise the ceiling only: when a request will be sent is not known here.
    """
    tiers: list[Tier] = []
    for override in _entries(pricing.get("overrides")):
        merged = {**pricing, **override}
        rates, full = parse_rates(merged, factor), parse_rates(merged)
        if rates is None or full is None:
            continue
        ceiling = ceiling.upper(full)
        above = _count(override.get("min_prompt_tokens"))
        if above is not None and override.get("utc_start") is None:
            tiers.append(Tier(above, rates))
    return tuple(tiers), ceiling


def _limit(max_price: Mapping[str, Any]) -> dict[str, int]:
    """A routing object's `max_price` in atto-USD per token."""
    rates = {key: parse_rate(max_price.get(key)) for key in ("prompt", "completion")}
    return {key: to_atto(rate / 1_000_000) for key, rate in rates.items() if rate is not None}


def _uptime(entry: Mapping[str, Any]) -> float | None:
    for key in ("uptime_last_30m", "uptime_last_1d", "uptime_last_5m"):
        value = entry.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return None


def _entries(value: object) -> Sequence[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, (list, tuple)) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 10**12:
        return None
    return int(value)
