"""What the endpoint says of itself before the first row is sent: price, limits, abilities.

OpenRouter's `/models/{name}/endpoints` answers it all; other servers know at best `/models`,
and many nothing: then the price is unknown and the abilities are found while running. All that is
looked up delays a start by at most `PATIENCE_SECONDS`.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from parquill.client import Transport
from parquill.clock import Clock
from parquill.endpoint.lookups import PATIENCE_SECONDS, Lookups, answering_below, lists_models
from parquill.endpoint.realm import is_emulated
from parquill.job import Job
from parquill.prices import (
    EndpointOffer,
    Price,
    allowed_offers,
    choose_price,
    parse_endpoints,
    parse_models,
    staleness,
    table_price,
    with_fallbacks,
)

PRICE_TABLE = Path(__file__).resolve().parents[2] / "data" / "prices.json"


_LONGEST_TOKEN = 32
"""Characters of the longest tokens, which are of blanks; those of words have 4 on average."""


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One endpoint as this run sees it; None means that it did not say."""

    base_url: str
    """As it is shown."""
    price: Price | None
    parameters: frozenset[str] | None
    """Names of the request parameters that it takes."""
    emulated: bool = False
    """Its answers are simulated: a realm of their own."""
    reachable: bool = True
    openrouter: bool = False
    """It speaks OpenRouter's dialect: `provider`, `models` and `require_parameters` are understood."""
    notices: tuple[str, ...] = ()
    address_advice: str = ""
    """Which base URL is meant, where this one has no list of models and one near it has."""
    why_unpriced: str = ""
    """What must be put right before a price can be asked for; empty where there is a price, or simply none."""

    @property
    def context_length(self) -> int | None:
        """Tokens that prompt and answer may have together."""
        return self.price.context_length if self.price else None

    @property
    def max_completion_tokens(self) -> int | None:
        """Tokens that an answer may have."""
        return self.price.max_completion_tokens if self.price else None

    def never_fits(self, characters: int) -> str | None:
        """Say why a text of so many characters is too long whatever it says, before its tokens are counted."""
        context = self.context_length
        if context is None or characters <= context * _LONGEST_TOKEN:
            return None
        return f"a text of {characters:,} characters does not fit into the context of {context:,} tokens"

    def overflow(self, prompt_tokens: int, max_tokens: int) -> str | None:
        """Say why a prompt of about so many tokens, with its answer, is too long to be asked; None where it fits."""
        context, longest = self.context_length, self.max_completion_tokens
        if longest is not None and max_tokens > longest:
            return f"model.max_tokens is {max_tokens:,}, the endpoint's answers have {longest:,} tokens at most"
        if context is not None and prompt_tokens + max_tokens > context:
            return (
                f"about {prompt_tokens:,} tokens of prompt and {max_tokens:,} of answer do not fit into the "
                f"context of {context:,}"
            )
        return None


async def look_up(client: Transport, base_url: str, job: Job, clock: Clock) -> EndpointFacts:
    """Ask the endpoint for its offers; in the contract's order: job, endpoint, table, unknown."""
    model, lookups = job.model, Lookups(client, clock)
    status, body = await lookups.get(_offers_path(model.name))
    offers = parse_endpoints(body) if status == 200 else []
    entry: EndpointOffer | None = None
    listed, advice = body, ""
    if not offers:
        status, listed = await lookups.get("/models")
        entry = parse_models(listed, model.name) if status == 200 else None
        if not lists_models(listed) and status not in _UNTOLD:
            advice = _address_advice(base_url, await answering_below(lookups, base_url))
    openrouter = model.endpoint == "openrouter"
    price = choose_price(
        model.price,
        offers,
        entry,
        table_price(PRICE_TABLE, model.name) if openrouter else None,
        endpoint_is_openrouter=openrouter,
        provider=model.provider,
    )
    if price is not None and model.fallback_models and model.price is None:
        price = with_fallbacks(
            price,
            [other for name in model.fallback_models if (other := await _price_of(lookups, name, model.provider))],
        )
    today = dt.datetime.fromtimestamp(clock.wall(), dt.UTC).date()
    old = staleness(price, today) if price is not None else None
    return EndpointFacts(
        base_url=base_url,
        price=price,
        parameters=_parameters(body, listed, model.name, model.provider),
        emulated=any(is_emulated(offer.provider) for offer in offers),
        reachable=status != 0,
        openrouter=openrouter or bool(offers),
        notices=(old,) if old else (),
        address_advice=advice,
        why_unpriced=(advice or _why_unpriced(status, listed, base_url, model.name)) if price is None else "",
    )


_UNTOLD = frozenset({0, 401, 403})
"""Of such a reply nothing is known of the address: there was none, or only a key is wanted."""


def _address_advice(base_url: str, other: str) -> str:
    return f"model.endpoint: {base_url} has no list of models, {other} has: name that one" if other else ""


def _why_unpriced(status: int, listed: Any, base_url: str, name: str) -> str:
    """Say what is wrong before it comes to prices; `status` and `listed` are the last reply's."""
    if not status:
        return (
            f"model.endpoint: {base_url} cannot be reached, or does not say within {PATIENCE_SECONDS:g} s what it "
            "offers: is the server running, and is this its address and port?"
        )
    if status in (401, 403):
        return f"model.api_key_env: {base_url} refuses the key, or wants one (status {status})"
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list):
        ends = base_url.rstrip("/").endswith("/v1")
        told = f"model.endpoint: {base_url} has no list of models (status {status} at /models): does it end in /v1?"
        return "" if ends or status == 200 else told
    names = [one["id"] for one in data if isinstance(one, dict) and isinstance(one.get("id"), str)]
    if name in names or not names:
        return ""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    some = ", ".join(names[:5])
    hint = f"did you mean {near[0]!r}?" if near else f"it lists {some}{', ...' if len(names) > 5 else ''}"
    return f"model.name: {base_url} does not list {name!r}; {hint}"


def _offers_path(name: str) -> str:
    return f"/models/{quote(name, safe='/:@+')}/endpoints"


async def _price_of(lookups: Lookups, name: str, provider: Mapping[str, Any]) -> Price | None:
    status, body = await lookups.get(_offers_path(name))
    offers = parse_endpoints(body) if status == 200 else []
    return choose_price(None, offers, None, None, endpoint_is_openrouter=False, provider=provider)


def _parameters(endpoints: Any, models: Any, name: str, provider: Mapping[str, Any]) -> frozenset[str] | None:
    """Parameters that at least one allowed provider takes: routing sends the request there."""
    data = endpoints.get("data") if isinstance(endpoints, dict) else None
    entries = data.get("endpoints") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        listed = models.get("data") if isinstance(models, dict) else None
        entries = (
            [one for one in listed if isinstance(one, dict) and one.get("id") == name]
            if isinstance(listed, list)
            else []
        )
    else:
        entries = [one for one in entries if allowed_offers(parse_endpoints({"data": {"endpoints": [one]}}), provider)]
    sets = [
        one["supported_parameters"]
        for one in entries
        if isinstance(one, dict) and isinstance(one.get("supported_parameters"), list)
    ]
    return frozenset(str(item) for one in sets for item in one) if sets else None
