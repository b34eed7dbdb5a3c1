"""Quantiles of single rows' costs, from classes of one per cent."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.cost_quantiles import SHARES, Quantiles
from tests.lanes import examples


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=300))
@settings(max_examples=examples(100))
def test_quantiles_are_right_to_one_per_cent(numbers: list[int]) -> None:
    found = Quantiles()
    for number in numbers:
        found.add(number)
    assert found.count == len(numbers)
    exact = np.quantile(np.array(numbers, float), SHARES, method="inverted_cdf")
    assert found.at_shares() == pytest.approx(exact, rel=0.01, abs=1.0)


def test_what_is_expected_is_spread_by_how_far_it_may_be_off() -> None:
    rng, known, expected = random.Random(1), Quantiles(), Quantiles()
    for _ in range(20_000):
        middle = rng.choice((10_000, 30_000))
        expected.add(middle)
        known.add(round(rng.gauss(middle, 2_000)))
    assert expected.at_shares(2_000) == pytest.approx(known.at_shares(), rel=0.03)
    assert expected.at_shares()[2] < 0.9 * known.at_shares()[2], "without the spread the dear rows are missed"


def test_of_nothing_there_are_none() -> None:
    assert Quantiles().at_shares() == Quantiles().at_shares(5.0) == ()


def test_numbers_counted_together_weigh_as_much_as_one_by_one() -> None:
    numbers = [10] * 70 + [1000] * 29 + [10**6]
    together, alone = Quantiles(), Quantiles()
    together.add_all(numbers)
    for number in numbers:
        alone.add(number)
    assert together.count == alone.count == 100
    assert together.at_shares() == alone.at_shares()
