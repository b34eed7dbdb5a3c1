"""What holds for every estimate: an interval in order, a fair sample, money in whole units."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.estimation.calibrate import strata
from parquill.estimation.interval import Errors, Sums, Totals
from parquill.prices import EndpointOffer, Price, PriceSource, Rates, Surplus
from tests.lanes import examples

rates = st.builds(Rates, *[st.integers(0, 10**14)] * 2, *[st.integers(0, 10**16)] * 2)
errors = st.builds(Errors, st.floats(0, 10**9), st.floats(0, 10**9))
surpluses = st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=20)


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    rows = draw(st.integers(0, 10**7))
    tokens = rows * draw(st.integers(1, 5000))
    answers = rows * draw(st.floats(1, 4000))
    return Sums(rows, tokens, answers, tokens * 10**4, rows, tokens * 10**6, float(tokens), float(tokens) ** 2)


def _price(one: Rates, *offers: Rates) -> Price:
    told = tuple(EndpointOffer(rates=rate, ceiling=rate) for rate in offers)
    return Price(one, one, PriceSource.ENDPOINT, offers=told)


def _surplus(rows: list[tuple[int, int]]) -> Surplus:
    surplus = Surplus()
    for paid, listed in rows:
        surplus.add(paid, listed)
    return surplus


@given(sums(), errors, rates, st.lists(rates, max_size=3), surpluses)
@settings(max_examples=examples(150))
def test_an_interval_is_in_order_and_never_above_the_worst_case(
    found: Sums, off: Errors, one: Rates, offers: list[Rates], paid: list[tuple[int, int]]
) -> None:
    cost = Totals(found, off, _price(one, *offers), _surplus(paid)).cost()
    assert cost is not None
    assert 0 <= cost.low_pico <= cost.expected_pico <= cost.high_pico <= cost.worst_pico
    assert all(isinstance(pico, int) for pico in (cost.expected_pico, cost.low_pico, cost.high_pico))


@given(sums(), rates)
@settings(max_examples=examples(60))
def test_what_is_known_exactly_has_no_interval(found: Sums, one: Rates) -> None:
    cost = Totals(found, Errors(), _price(one)).cost()
    assert cost is not None
    assert cost.low_pico == cost.expected_pico == cost.high_pico


@given(sums(), errors, rates)
@settings(max_examples=examples(60))
def test_less_doubt_never_widens_an_interval(found: Sums, off: Errors, one: Rates) -> None:
    price = _price(one)
    wide = Totals(found, off, price).half_pico
    assert Totals(found, Errors(off.prompt / 2, off.answer), price).half_pico <= wide
    assert Totals(found, Errors(off.prompt, off.answer / 2), price).half_pico <= wide


@given(st.lists(st.integers(1, 10**12), min_size=2, max_size=50), st.integers(1, 10**7))
@settings(max_examples=examples(60))
def test_rows_that_cost_what_is_listed_add_neither_money_nor_doubt(listed: list[int], rows: int) -> None:
    surplus = _surplus([(one, one) for one in listed])
    assert surplus.ratio == 1
    assert surplus.applied(10**15) == 10**15
    assert surplus.error(rows, 10**15) <= 10**15 * 1e-6


@given(surpluses, st.integers(1, 10**6))
@settings(max_examples=examples(60))
def test_what_rows_cost_survives_into_the_next_run(paid: list[tuple[int, int]], rows: int) -> None:
    surplus = _surplus(paid)
    assert Surplus.load(json.loads(json.dumps(surplus.dump()))) == surplus
    assert surplus.error(rows, 10**9) >= 0


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), st.integers(1, 10_000)), min_size=1, max_size=300),
    st.integers(1, 400),
)
@settings(max_examples=examples(150))
def test_a_calibration_takes_as_many_rows_as_wanted_in_the_mixture_of_the_whole(
    rows: list[tuple[int, int, int]], wanted: int
) -> None:
    images, writing = np.array([row[0] for row in rows], np.int32), np.array([row[1] for row in rows], np.int32)
    tokens = np.array([row[2] for row in rows], np.int64)
    chosen = strata(np.arange(len(rows)) * 3, images, writing, tokens, wanted)
    assert len(chosen) == min(wanted, len(rows))
    assert chosen <= set(range(0, 3 * len(rows), 3))
    for pictures in range(9):
        for language in (None, *range(4)):
            alike = (images == pictures) & ((writing == language) if language is not None else True)
            share = sum(bool(alike[position // 3]) for position in chosen)
            assert abs(share - len(chosen) * float(alike.mean())) <= 1
