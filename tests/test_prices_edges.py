"""Prices at their edges: fees, steps of the provider that answered, odd routing objects, amounts of any size."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import UsageError
from parquill.prices import (
    Drift,
    EndpointOffer,
    Price,
    PriceSource,
    Rates,
    Surplus,
    choose_price,
    compare,
    parse_endpoints,
    ratio,
    read_table,
    table_price,
)
from parquill.prices.rates import Tier, parse_rate
from parquill.prices.ratio import change_told, differs

MICRO = 10**12
"""Atto-USD of a millionth of a dollar."""


def price(**changes: Any) -> Price:
    rates = Rates(1 * MICRO, 2 * MICRO)
    return dataclasses.replace(Price(rates, rates, PriceSource.ENDPOINT), **changes)


def offer(name: str, prompt: int, completion: int = 0, *, tiers: tuple[Tier, ...] = ()) -> EndpointOffer:
    rates = Rates(prompt * MICRO, completion * MICRO)
    return EndpointOffer(rates=rates, ceiling=rates, tiers=tiers, provider=name, tag=f"{name.lower()}/bf16")


def chosen(*offers: EndpointOffer, **provider: Any) -> Price:
    found = choose_price(None, offers, None, None, endpoint_is_openrouter=True, provider=provider)
    assert found is not None
    return found


def test_fees_are_part_of_the_same_work_at_another_price() -> None:
    table = {
        "fees": price(rates=Rates(3 * MICRO, 5 * MICRO, 7 * MICRO, 11 * MICRO)),
        "none": price(rates=Rates(3 * MICRO, 5 * MICRO)),
    }
    rows = {one.model: one.cost_pico for one in compare(100, 10, table, requests=4, images=6)}
    assert rows == {"fees": (300 + 50 + 28 + 66) * 10**6, "none": 350 * 10**6}


def test_the_steps_of_the_provider_that_answered_are_those_that_are_billed() -> None:
    steep = offer("Steep", 2, tiers=(Tier(100, Rates(8 * MICRO, 0)), Tier(1000, Rates(9 * MICRO, 0))))
    several = chosen(steep, offer("Flat", 3))
    assert several.tiers == (), "a mean over different steps is no price"
    at = several.for_provider("Steep")
    assert [at.cost_pico(tokens, 0) // 10**6 for tokens in (100, 101, 1000, 1001)] == [200, 808, 8000, 9009]
    assert several.for_provider("Flat").cost_pico(1001, 0) == 3003 * 10**6
    assert several.for_provider("Other") is several
    assert several.for_provider(None) is several
    own = dataclasses.replace(several, source=PriceSource.JOB)
    assert own.for_provider("Steep") is own, "a job's own price holds for every provider"


def test_steps_that_all_providers_share_are_expected() -> None:
    steps = (Tier(100, Rates(8 * MICRO, 0)),)
    assert chosen(offer("A", 2, tiers=steps), offer("B", 3, tiers=steps)).tiers == steps
    assert chosen(offer("A", 2, tiers=steps)).tiers == steps


@pytest.mark.parametrize("order", [[7, "B"], ("B", "A"), ["nobody", "B"], [None, {}, "b/bf16"]])
def test_the_first_provider_of_an_order_is_expected_whatever_else_stands_there(order: Any) -> None:
    assert chosen(offer("A", 1), offer("B", 2), order=order).provider == "B"


@pytest.mark.parametrize("order", ["B", None, 7, {"B": 1}, []])
def test_an_order_that_is_no_list_orders_nothing(order: Any) -> None:
    assert chosen(offer("A", 1), offer("B", 2), order=order).provider == "A"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (True, None),
        (False, None),
        ("1000", Fraction(1000)),
        ("1000.01", None),
        ("1e-18", Fraction(1, 10**18)),
        ("1e-19", None),
        (0, Fraction(0)),
        ("-0", Fraction(0)),
        ("-1", None),
        ("nan", None),
        (float("inf"), None),
        (Decimal("0.5"), Fraction(1, 2)),
        (" 2 ", Fraction(2)),
        (None, None),
        ([], None),
    ],
)
def test_a_rate_is_a_number_of_dollars_that_a_token_can_cost(written: Any, read: Fraction | None) -> None:
    assert parse_rate(written) == read


@pytest.mark.parametrize("discount", ["0.25", 0.25, 1, "2", None])
def test_a_discount_is_a_share_of_the_price(discount: Any) -> None:
    pricing = {"prompt": "0.000004", "completion": "0.000008", "discount": discount}
    (one,) = parse_endpoints({"data": {"endpoints": [{"pricing": pricing}]}})
    times = {"0.25": 3, 0.25: 3, 1: 0, "2": 4, None: 4}[discount]
    assert (one.rates.prompt, one.rates.completion) == (times * MICRO, 2 * times * MICRO)
    assert (one.ceiling.prompt, one.ceiling.completion) == (4 * MICRO, 8 * MICRO)


def test_the_dearer_of_two_prices_is_dearer_in_every_field() -> None:
    assert Rates(1, 8, 3, 6).upper(Rates(5, 2, 7, 4)) == Rates(5, 8, 7, 6)


HUGE = 10**400


@pytest.mark.parametrize(
    ("amount", "of", "said"),
    [
        (3, 2, "50 % more"),
        (1, 2, "50 % less"),
        (2, 2, "0 % less"),
        (1, 0, ""),
        (HUGE, 1, ""),
        (1, HUGE, ""),
        (0, 5, "100 % less"),
    ],
)
def test_a_change_is_told_as_a_share_where_there_is_one(amount: int, of: int, said: str) -> None:
    assert change_told(amount, of) == said


def test_amounts_of_any_size_have_a_ratio_or_none() -> None:
    assert ratio(HUGE, 1) is None
    assert ratio(1, HUGE) is None
    assert ratio(-3, 2) == -1.5
    assert (ratio(1, None), ratio(1, 0), ratio(1, -2), ratio(1, float("nan"))) == (None, None, None, None)
    assert differs(1, 0, by=0.5)
    assert not differs(0, 0, by=0.5)
    assert not differs(150, 100, by=0.5)
    assert differs(151, 100, by=0.5)


def test_a_drift_says_how_many_answers_were_billed_otherwise_and_at_what() -> None:
    drift = Drift()
    assert drift.told() is None
    assert not drift.add(1_000_000, 1_000_000)
    assert drift.add(3_000_000, 2_000_000)
    one = str(drift.told())
    assert "1 answer was billed at $0.000003 together" in one
    assert "gives $0.000002, 50 % more" in one
    other = Drift()
    assert other.add(0, 1_000_000)
    drift.merge(other)
    assert "2 answers were billed at $0.000003 together" in str(drift.told())
    assert "billed at $0 together" in str(other.told())


def test_the_cost_of_rows_to_come_is_uncertain_once_two_were_seen() -> None:
    surplus = Surplus()
    assert surplus.ratio == 1.0
    surplus.add(300, 100)
    assert surplus.error(10, 1000) == 0.0, "one row has no spread"
    assert surplus.ratio == pytest.approx((300 + 200) / (100 + 200)), "two rows at the list are thought of"
    surplus.add(100, 100)
    # Ratio 2, errors +100 and -100: a standard deviation of 141.4 for each row that is listed at 100.
    expected = 20_000**0.5 / 100 * 1000 * (1 / 2 + 1 / 10) ** 0.5
    assert surplus.error(10, 1000) == pytest.approx(expected)
    assert surplus.error(10, 1000, worth=2.0) == pytest.approx(expected * ((1 / 4 + 1 / 10) / (1 / 2 + 1 / 10)) ** 0.5)
    assert surplus.error(0, 1000) == 0.0
    assert surplus.applied(1000) == pytest.approx(1000 * (400 + 200) / (200 + 200))


def test_an_override_for_some_hours_and_long_prompts_raises_the_ceiling_only() -> None:
    override = {"min_prompt_tokens": 100, "prompt": "0.000009"}
    pricing = {"prompt": "0.000004", "completion": "0.000008"}
    timed = {**override, "utc_start": "0800", "utc_end": "1700"}
    for given, tiers in ((override, (Tier(100, Rates(9 * MICRO, 8 * MICRO)),)), (timed, ())):
        (one,) = parse_endpoints({"data": {"endpoints": [{"pricing": {**pricing, "overrides": [given]}}]}})
        assert one.tiers == tiers
        assert one.ceiling == Rates(9 * MICRO, 8 * MICRO)


@pytest.mark.parametrize("key", ["context_length", "max_completion_tokens"])
def test_limits_of_a_table_are_whole_numbers_or_left_out(tmp_path: Path, key: str) -> None:
    def table(**more: object) -> Path:
        path = tmp_path / "prices.json"
        entry = {"id": "m", "prompt": "0.1", "completion": "0.2", "as_of": "2026-01-02", **more}
        path.write_text(json.dumps({"models": [entry]}))
        return path

    assert getattr(read_table(table())["m"], key) is None
    assert getattr(read_table(table(**{key: 4096}))["m"], key) == 4096
    with pytest.raises(UsageError, match=f"'m': {key} is not a whole number"):
        read_table(table(**{key: "4096"}))
    found = table_price(table(), "m")
    assert found is not None
    assert found.rates == Rates(10**17, 2 * 10**17)
    assert table_price(table(), "other") is None
