"""What holds for every estimate: an interval in order, a fair sample, money in whole units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.estimate.calibrate import strata
from parquill.estimate.sums import Errors, Sums, Totals
from parquill.prices import EndpointOffer, Price, PriceSource, Rates
from parquill.tokens import LengthEstimate

rates = st.builds(Rates, *[st.integers(0, 10**14)] * 2, *[st.integers(0, 10**16)] * 2)
lengths = st.builds(LengthEstimate, st.floats(0.5, 4000), st.floats(0.5, 2000), st.floats(0, 2000), st.just("receipts"))
errors = st.builds(Errors, st.floats(0, 0.5), st.floats(0, 0.5))


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    rows = draw(st.integers(0, 10**7))
    tokens = rows * draw(st.integers(1, 5000))
    return Sums(rows, rows, tokens, tokens * 10**4, tokens * 10**6, float(tokens), float(tokens) ** 2 / max(rows, 1))


def _price(one: Rates, *offers: Rates) -> Price:
    told = tuple(EndpointOffer(rates=rate, ceiling=rate) for rate in offers)
    return Price(one, one, PriceSource.ENDPOINT, offers=told)


@given(sums(), lengths, errors, rates, st.lists(rates, max_size=3))
@settings(max_examples=150)
def test_an_interval_is_in_order_and_never_above_the_worst_case(
    found: Sums, length: LengthEstimate, off: Errors, one: Rates, offers: list[Rates]
) -> None:
    cost = Totals(found, length, off, _price(one, *offers)).cost()
    assert cost is not None
    assert 0 <= cost.low_pico <= cost.expected_pico <= cost.high_pico <= cost.worst_pico
    assert all(isinstance(pico, int) for pico in (cost.expected_pico, cost.low_pico, cost.high_pico))


@given(sums(), lengths, rates)
@settings(max_examples=60)
def test_what_is_known_exactly_has_no_interval(found: Sums, length: LengthEstimate, one: Rates) -> None:
    exact = replace(length, spread=0.0, mean_error=0.0)
    cost = Totals(found, exact, Errors(0.0, 0.0), _price(one)).cost()
    assert cost is not None
    assert cost.low_pico == cost.expected_pico == cost.high_pico


@given(sums(), lengths, errors, rates)
@settings(max_examples=60)
def test_less_doubt_never_widens_an_interval(found: Sums, length: LengthEstimate, off: Errors, one: Rates) -> None:
    price = _price(one)
    wide = Totals(found, length, off, price).cost()
    surer = replace(length, mean_error=length.mean_error / 2)
    narrow = Totals(found, surer, Errors(off.mean_error / 2, off.spread), price).cost()
    assert wide is not None
    assert narrow is not None
    assert narrow.high_pico - narrow.low_pico <= wide.high_pico - wide.low_pico


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 10_000)), min_size=1, max_size=300),
    st.integers(1, 400),
)
@settings(max_examples=150)
def test_a_calibration_takes_as_many_rows_as_wanted_in_the_mixture_of_the_whole(
    rows: list[tuple[int, int]], wanted: int
) -> None:
    images = np.array([one for one, _ in rows], np.int32)
    tokens = np.array([two for _, two in rows], np.int64)
    chosen = strata(np.arange(len(rows)) * 3, images, tokens, wanted)
    assert len(chosen) == min(wanted, len(rows))
    assert chosen <= set(range(0, 3 * len(rows), 3))
    for number in range(9):
        share = sum(images[position // 3] == number for position in chosen)
        fair = len(chosen) * float((images == number).mean())
        assert abs(share - fair) <= 1
