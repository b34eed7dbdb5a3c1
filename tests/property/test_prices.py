"""What holds for any prices: nothing costs more than its worst case, and nothing is lost by rounding."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.prices import allowed_offers, choose_price, max_price, parse_endpoints

USD = st.decimals(0, Decimal("0.01"), allow_nan=False, places=14).map(str)
FEE = st.decimals(0, Decimal("0.01"), allow_nan=False, places=6).map(str)
OVERRIDE = st.fixed_dictionaries(
    {"min_prompt_tokens": st.integers(1, 2000)},
    optional={"prompt": USD, "completion": USD, "utc_start": st.just("0800"), "utc_end": st.just("1700")},
)
PRICING = st.fixed_dictionaries(
    {"prompt": USD, "completion": USD},
    optional={
        "request": FEE,
        "image": FEE,
        "discount": st.floats(0, 1),
        "overrides": st.lists(OVERRIDE, max_size=3),
        "image_token": USD,
    },
)
ENDPOINT = st.builds(
    lambda pricing, name, status: {"pricing": pricing, "provider_name": name, "tag": name.lower(), "status": status},
    PRICING,
    st.sampled_from(["A", "B", "C"]),
    st.sampled_from([0, 0, -1]),
)
PROVIDER = st.fixed_dictionaries(
    {},
    optional={"only": st.lists(st.sampled_from("abc"), max_size=2), "sort": st.sampled_from(["price", "latency"])},
)
TOKENS = st.integers(0, 200_000)


@settings(max_examples=150)
@given(st.lists(ENDPOINT, min_size=1, max_size=4), PROVIDER, TOKENS, TOKENS, st.integers(0, 8))
def test_no_provider_that_may_answer_costs_more_than_the_worst_case(
    endpoints: list[dict[str, Any]], provider: dict[str, Any], prompt: int, completion: int, images: int
) -> None:
    offers = parse_endpoints({"data": {"endpoints": endpoints}})
    price = choose_price(None, offers, None, None, endpoint_is_openrouter=True, provider=provider)
    if price is None:
        assert not allowed_offers(offers, provider)
        return
    worst = price.worst_pico(prompt, completion, images)
    assert price.cost_pico(prompt, completion, images) <= worst
    for offer in allowed_offers(offers, provider):
        assert price.for_provider(offer.provider).cost_pico(prompt, completion, images) <= worst


@settings(max_examples=100)
@given(USD, USD, TOKENS, TOKENS)
def test_costs_are_exact_to_half_a_pico_dollar(prompt: str, completion: str, tokens_in: int, tokens_out: int) -> None:
    offers = parse_endpoints({"data": {"endpoints": [{"pricing": {"prompt": prompt, "completion": completion}}]}})
    price = choose_price(None, offers, None, None, endpoint_is_openrouter=False, provider={})
    assert price is not None
    exact = (Fraction(prompt) * tokens_in + Fraction(completion) * tokens_out) * 10**12
    assert abs(price.cost_pico(tokens_in, tokens_out) - exact) <= Fraction(1, 2)
    assert 0 <= price.worst_pico(tokens_in, tokens_out) - exact < 1
    assert Decimal(max_price(price)["prompt"]) == Decimal(prompt) * 1_000_000
