from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.budget import Budget
from parquill.job import BudgetSettings


def test_a_cap_is_cut_to_whole_pico_dollars_never_rounded_up() -> None:
    budget = Budget.from_settings(BudgetSettings(usd="0.0000000000019"))
    assert (budget.cap_pico, budget.free_pico) == (1, 1)


def test_a_run_goes_on_with_what_was_spent() -> None:
    budget = Budget.from_settings(BudgetSettings(usd="0.000001", tokens=100), spent_pico=900_000, spent_tokens=40)
    assert (budget.free_pico, budget.free_tokens) == (100_000, 60)
    assert not budget.reserve(100_001, 1)
    assert budget.reserve(100_000, 60)


def test_either_cap_refuses_and_nothing_is_held_then() -> None:
    budget = Budget(cap_pico=10, cap_tokens=10)
    assert not budget.reserve(11, 1)
    assert not budget.reserve(1, 11)
    assert (budget.reserved_pico, budget.reserved_tokens, budget.outstanding) == (0, 0, 0)


def test_what_was_not_used_is_free_again_after_settling() -> None:
    budget = Budget(cap_pico=10)
    budget.reserve(10, 5)
    budget.settle(10, 5, cost_pico=3, used_tokens=2)
    assert (budget.spent_pico, budget.free_pico, budget.alarm) == (3, 7, None)


def test_a_cost_above_its_reservation_is_booked_and_alarms() -> None:
    budget = Budget(cap_pico=100)
    budget.reserve(10, 5)
    budget.settle(10, 5, cost_pico=11, used_tokens=5)
    assert budget.spent_pico == 11
    assert "$0.000000000011" in str(budget.alarm)


def test_a_refusal_names_cap_spent_reserved_and_the_next_worst_case() -> None:
    budget = Budget(cap_pico=2_000_000, spent_pico=500_000)
    budget.reserve(1_000_000, 0)
    said = budget.refusal(700_000, 0)
    for amount in ("cap $0.000002", "spent $0.0000005", "reserved $0.000001", "worst case $0.0000007"):
        assert amount in said


def test_a_cap_for_each_day_starts_anew_at_local_midnight() -> None:
    noon = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp()
    budget = Budget(cap_pico=10, per="day", timezone="Asia/Tokyo")
    ends = budget.turn_day(noon)
    assert ends == dt.datetime(2026, 11, 23, 15, tzinfo=dt.UTC).timestamp()  # midnight in Tokyo
    budget.reserve(10, 0)
    budget.settle(10, 0, cost_pico=10, used_tokens=0)
    budget.turn_day(ends - 1)
    assert budget.free_pico == 0
    budget.turn_day(ends)
    assert budget.free_pico == 10


def test_more_than_was_reserved_cannot_be_given_back() -> None:
    budget = Budget(cap_pico=10)
    budget.reserve(4, 0)
    with pytest.raises(ValueError, match="more is given back"):
        budget.release(5, 0)


@given(
    cap=st.integers(0, 1000),
    steps=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 100), st.booleans()), max_size=60),
)
def test_spent_and_reserved_never_pass_the_cap_and_rest_at_nothing_reserved(
    cap: int, steps: list[tuple[int, int, bool]]
) -> None:
    budget = Budget(cap_pico=cap)
    held: list[tuple[int, int]] = []
    for worst, share, settles in steps:
        if settles and held:
            amount, part = held.pop(0)
            budget.settle(amount, 0, cost_pico=amount * part // 100, used_tokens=0)
        elif budget.reserve(worst, 0):
            held.append((worst, share))
        assert budget.spent_pico + budget.reserved_pico <= cap
    for amount, _ in held:
        budget.release(amount, 0)
    assert (budget.reserved_pico, budget.outstanding) == (0, 0)
