"""What holds for any prices: nothing costs more than its worst case, and nothing is lost by rounding."""

from __future__ import annotations

import ast
import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.cost_range import CostRange
from parquill.estimation.estimate import Cost
from parquill.prices import Drift, Surplus, allowed_offers, choose_price, differs, max_price, parse_endpoints, ratio
from parquill.report.headline import against_estimate
from tests.lanes import examples

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


@settings(max_examples=examples(150))
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


@settings(max_examples=examples(100))
@given(USD, USD, TOKENS, TOKENS)
def test_costs_are_exact_to_half_a_pico_dollar(prompt: str, completion: str, tokens_in: int, tokens_out: int) -> None:
    offers = parse_endpoints({"data": {"endpoints": [{"pricing": {"prompt": prompt, "completion": completion}}]}})
    price = choose_price(None, offers, None, None, endpoint_is_openrouter=False, provider={})
    assert price is not None
    exact = (Fraction(prompt) * tokens_in + Fraction(completion) * tokens_out) * 10**12
    assert abs(price.cost_pico(tokens_in, tokens_out) - exact) <= Fraction(1, 2)
    assert 0 <= price.worst_pico(tokens_in, tokens_out) - exact < 1
    assert Decimal(max_price(price)["prompt"]) == Decimal(prompt) * 1_000_000


AMOUNTS = st.sampled_from([0, 1, 10**12, 10**15, 10**400]) | st.integers(0, 10**30)
"""Pico-USD: nothing, something, and what only an endpoint that errs would say."""
OF = AMOUNTS | st.sampled_from([None, -1, -(10**400), math.nan, math.inf, 5e-324])


@given(AMOUNTS, OF)
def test_a_ratio_of_money_is_a_number_or_none_whatever_it_is_of(amount: int, of: Any) -> None:
    """Held against exact fractions."""
    found = ratio(amount, of)
    usable = isinstance(of, int) and 0 < of < 10**300 and amount < 10**300
    assert found is None or math.isfinite(found) or of == 5e-324
    if usable:
        assert found is not None
        assert math.isclose(found, Fraction(amount, of), rel_tol=1e-12)
    elif not isinstance(of, float):
        assert found is None


@given(AMOUNTS, AMOUNTS)
def test_amounts_differ_by_a_share_as_fractions_say(billed: int, listed: int) -> None:
    if max(billed, listed) < 10**300:
        exact = abs(billed - listed) * 100 > listed if listed else bool(billed)
        close = listed and abs(Fraction(abs(billed - listed), listed) - Fraction(1, 100)) < Fraction(1, 10**9)
        assert close or differs(billed, listed, by=0.01) == exact
    drift = Drift()
    assert drift.add(billed, listed) == (drift.told() is not None)


@given(st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)), max_size=5), st.integers(0, 10**15))
def test_what_rows_cost_beyond_the_list_is_finite_and_never_negative(rows: list[tuple[int, int]], listed: int) -> None:
    surplus = Surplus()
    for row in rows:
        surplus.add(*row)
    assert surplus.ratio >= 0
    assert math.isfinite(surplus.ratio)
    assert surplus.applied(listed) >= 0
    assert surplus.error(3, listed) >= 0
    if not sum(listed for _, listed in rows):
        assert surplus.ratio == 1.0


def test_a_free_model_has_an_estimate_that_nothing_is_held_against() -> None:
    assert Cost(0, 0, 0, 0).half == 0.0
    assert against_estimate(5, CostRange(0, 0, 0)) == ""


MONEY = re.compile(r"pico|usd|cost|listed|paid|billed")


def test_money_is_divided_by_money_in_one_module() -> None:
    faults = []
    for path in Path("parquill").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            divides = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.FloorDiv))
            if divides and MONEY.search(ast.unparse(node.right)):
                faults.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert faults == [fault for fault in faults if "usd.denominator" in fault], faults
