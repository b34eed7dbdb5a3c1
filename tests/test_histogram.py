"""Histogram of single rows' costs, from classes of one per cent."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.cost_range import SHARES
from parquill.histogram import Histogram
from tests.lanes import examples


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=300))
@settings(max_examples=examples(100))
def test_quantiles_are_right_to_one_per_cent(numbers: list[int]) -> None:
    found = Histogram()
    for number in numbers:
        found.add(number)
    assert found.count == len(numbers)
    exact = np.quantile(np.array(numbers, float), SHARES, method="inverted_cdf")
    assert found.quantiles(SHARES) == pytest.approx(exact, rel=0.01, abs=1.0)


def test_what_is_expected_is_spread_by_how_far_it_may_be_off() -> None:
    rng, known, expected = random.Random(1), Histogram(), Histogram()
    for _ in range(20_000):
        middle = rng.choice((10_000, 30_000))
        expected.add(middle)
        known.add(round(rng.gauss(middle, 2_000)))
    assert expected.quantiles(SHARES, 2_000) == pytest.approx(known.quantiles(SHARES), rel=0.03)
    assert expected.quantiles(SHARES)[2] < 0.9 * known.quantiles(SHARES)[2], "else expensive rows are missed"


def test_of_nothing_there_are_none() -> None:
    assert Histogram().quantiles(SHARES) == Histogram().quantiles(SHARES, 5.0) == ()


@given(st.lists(st.one_of(st.integers(-(10**15), 10**15), st.floats(-1e9, 1e9)), max_size=60))
@settings(max_examples=examples(100))
def test_an_array_is_counted_as_its_numbers_are_one_by_one(numbers: list[float]) -> None:
    array, alone = Histogram(), Histogram()
    array.add_array(np.array(numbers, float))
    for number in numbers:
        alone.add(float(number))
    assert (array.count, array.smallest, array.largest) == (alone.count, alone.smallest, alone.largest)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert array.quantile(share) == pytest.approx(alone.quantile(share), rel=0.011, abs=1e-6)


def test_numbers_counted_together_weigh_as_much_as_one_by_one() -> None:
    numbers = [10] * 70 + [1000] * 29 + [10**6]
    together, alone = Histogram(), Histogram()
    together.add_all(numbers)
    for number in numbers:
        alone.add(number)
    assert together.count == alone.count == 100
    assert together.quantiles(SHARES) == alone.quantiles(SHARES)
