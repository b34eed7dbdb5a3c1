"""The budget against a list of all that was ever booked, and its rules at their very edge."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.budget import Budget
from parquill.job import BudgetSettings
from parquill.money import usd
from tests.lanes import examples

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0


def spend(budget: Budget, pico: int, tokens: int, *, sent_on: float | None = None) -> None:
    assert budget.reserve(pico, tokens)
    budget.settle(pico, tokens, cost_pico=pico, used_tokens=tokens, sent_on=sent_on)


@pytest.mark.parametrize(("zone", "midnight"), [("UTC", 24), ("Asia/Tokyo", 15), ("America/New_York", 29)])
@pytest.mark.parametrize("caps", [{"usd": "0.00000000001"}, {"tokens": 10}, {"usd": "0.00000000001", "tokens": 10}])
def test_each_cap_of_a_day_starts_anew_at_midnight_of_the_jobs_time_zone(
    zone: str, midnight: int, caps: dict[str, Any]
) -> None:
    budget = Budget.from_settings(BudgetSettings(per="day", timezone=zone, **caps))
    ends = dt.datetime(2026, 11, 23, tzinfo=dt.UTC).timestamp() + midnight * HOUR
    assert budget.turn_day(NOON) == ends
    spend(budget, 10, 10)
    budget.turn_day(ends - 1)
    assert not budget.reserve(1, 1)
    budget.turn_day(ends)
    assert (budget.spent_pico, budget.spent_tokens, budget.day) == (0, 0, ends)
    spend(budget, 10, 10)
    assert not budget.reserve(1, 1)


@pytest.mark.parametrize("caps", [{}, {"usd": "0.1"}, {"tokens": 10}])
def test_a_cap_for_the_run_has_no_days(caps: dict[str, Any]) -> None:
    budget = Budget.from_settings(BudgetSettings(**caps), spent_pico=3, spent_tokens=4)
    assert (budget.turn_day(NOON), budget.daily, budget.day) == (None, False, None)
    assert budget.turn_day(NOON + 2 * DAY) is None
    assert (budget.spent_pico, budget.spent_tokens) == (3, 4)


def test_days_without_a_cap_are_none() -> None:
    assert not Budget.from_settings(BudgetSettings()).daily
    assert not Budget(per="day").daily


def test_what_was_spent_before_counts_on_the_first_day_and_only_there() -> None:
    budget = Budget(cap_pico=100, cap_tokens=100, spent_pico=30, spent_tokens=40, per="day")
    ends = budget.turn_day(NOON)
    assert ends is not None
    assert (budget.free_pico, budget.free_tokens) == (70, 60)
    budget.turn_day(ends)
    assert (budget.free_pico, budget.free_tokens) == (100, 100)
    budget.turn_day(NOON)
    assert (budget.free_pico, budget.free_tokens) == (70, 60), "the clock was set back"


def test_a_cost_counts_on_the_day_on_which_its_request_was_sent() -> None:
    budget = Budget(cap_pico=100, cap_tokens=100, per="day")
    ends = budget.turn_day(NOON)
    assert ends is not None
    sent_on = budget.day
    assert budget.reserve(30, 40)
    budget.turn_day(ends)
    assert (budget.free_pico, budget.free_tokens) == (70, 60), "until it is settled it counts on the present day too"
    budget.settle(30, 40, cost_pico=20, used_tokens=30, sent_on=sent_on)
    assert (budget.spent_pico, budget.spent_tokens) == (0, 0)
    spend(budget, 5, 6, sent_on=budget.day)
    spend(budget, 1, 1)
    assert (budget.spent_pico, budget.spent_tokens) == (6, 7)
    budget.turn_day(NOON)
    assert (budget.spent_pico, budget.spent_tokens) == (26, 37)


@pytest.mark.parametrize(
    ("caps", "cost", "alarms"),
    [
        ({"cap_pico": 100}, (10, 50), False),
        ({"cap_pico": 100}, (11, 5), True),
        ({"cap_tokens": 100}, (99, 5), False),
        ({"cap_tokens": 100}, (10, 6), True),
        ({"cap_pico": 100, "cap_tokens": 100}, (10, 5), False),
        ({"cap_pico": 100, "cap_tokens": 100}, (10, 6), True),
        ({}, (99, 99), False),
    ],
)
def test_the_alarm_rings_as_soon_as_more_is_taken_than_the_cap(
    caps: dict[str, int], cost: tuple[int, int], alarms: bool
) -> None:
    budget = Budget(**caps)
    assert budget.reserve(10, 5)
    budget.settle(10, 5, cost_pico=cost[0], used_tokens=cost[1])
    assert (budget.alarm is not None) is alarms
    assert (budget.spent_pico, budget.spent_tokens) == cost
    first = budget.alarm
    assert budget.reserve(0, 0)
    budget.settle(0, 0, cost_pico=1, used_tokens=1)
    assert first is None or budget.alarm == first, "the first alarm stays"


@pytest.mark.parametrize(
    ("held", "over"), [((10, 10), False), ((11, 0), True), ((0, 11), True), ((5, 5), False), ((6, 6), False)]
)
@pytest.mark.parametrize("reserved", [True, False])
def test_a_day_that_comes_again_is_over_by_either_cap(held: tuple[int, int], over: bool, reserved: bool) -> None:
    budget = Budget(cap_pico=20, cap_tokens=20, per="day")
    budget.turn_day(NOON)
    spend(budget, 10, 10)
    budget.turn_day(NOON + DAY)
    assert budget.reserve(*held)
    if not reserved:
        budget.settle(*held, cost_pico=held[0], used_tokens=held[1])
    budget.turn_day(NOON)
    assert budget.is_over is over
    assert budget.free_pico == max(0, 10 - held[0])
    assert budget.free_tokens == max(0, 10 - held[1])


def test_without_a_cap_nothing_is_over_and_nothing_is_said_to_be_free() -> None:
    budget = Budget(spent_pico=10**15, spent_tokens=10**9)
    assert budget.reserve(10**15, 10**9)
    assert (budget.is_over, budget.free_pico, budget.free_tokens) == (False, None, None)


@pytest.mark.parametrize("negative", ["cap_pico", "cap_tokens", "spent_pico", "spent_tokens"])
def test_no_cap_and_no_sum_is_negative(negative: str) -> None:
    given: dict[str, Any] = {"cap_pico": 5, "cap_tokens": 5, negative: -1}
    with pytest.raises(ValueError, match="not negative"):
        Budget(**given)


@pytest.mark.parametrize("amounts", [(-1, 0), (0, -1)])
def test_no_worst_case_and_no_cost_is_negative(amounts: tuple[int, int]) -> None:
    budget = Budget(cap_pico=5)
    with pytest.raises(ValueError, match="not negative"):
        budget.reserve(*amounts)
    assert budget.reserve(1, 1)
    with pytest.raises(ValueError, match="not negative"):
        budget.settle(1, 1, cost_pico=amounts[0], used_tokens=amounts[1])
    assert (budget.outstanding, budget.reserved_pico) == (1, 1)


@pytest.mark.parametrize("back", [(5, 0), (0, 5)])
def test_all_that_is_reserved_can_be_given_back_and_not_more(back: tuple[int, int]) -> None:
    budget = Budget(cap_pico=5)
    assert budget.reserve(4, 4)
    with pytest.raises(ValueError, match="more is given back"):
        budget.release(*back)
    budget.release(4, 4)
    assert (budget.reserved_pico, budget.reserved_tokens, budget.outstanding) == (0, 0, 0)
    with pytest.raises(ValueError, match="more is given back"):
        budget.release(0, 0)


@pytest.mark.parametrize(("per", "said"), [("run", "the budget is"), ("day", "the budget of the day is")])
def test_a_refusal_says_which_budget_is_used_up(per: Any, said: str) -> None:
    refusal = Budget(cap_tokens=7, spent_tokens=2, per=per).refusal(0, 6)
    assert refusal.startswith(said)
    assert "cap 7 tokens, spent 2, reserved 0, the next row's worst case 6" in refusal
    assert "$" not in refusal


def test_dollars_are_written_to_the_last_digit() -> None:
    assert [usd(one) for one in (0, 1, 1_500_000, 10**12, 12 * 10**13)] == [
        "0", "0.000000000001", "0.0000015", "1", "120",
    ]  # fmt: skip


_STEP = st.one_of(
    st.tuples(st.just("turn"), st.integers(-5 * 24, 5 * 24)),
    st.tuples(st.just("reserve"), st.integers(0, 40), st.integers(0, 40)),
    st.tuples(st.just("end"), st.integers(0, 5), st.integers(0, 100)),
    st.tuples(st.just("release"), st.integers(0, 5)),
)


@settings(max_examples=examples(60))
@given(
    caps=st.tuples(st.none() | st.integers(0, 150), st.none() | st.integers(0, 150)),
    earlier=st.lists(st.tuples(st.integers(-100, 100), st.integers(0, 40), st.integers(0, 40)), max_size=4),
    steps=st.lists(_STEP, max_size=40),
)
def test_a_budget_per_day_holds_what_a_list_of_all_bookings_says(
    caps: tuple[int | None, int | None], earlier: list[tuple[int, int, int]], steps: list[tuple[Any, ...]]
) -> None:
    booked = [((NOON + hours * HOUR) // DAY, pico, tokens) for hours, pico, tokens in earlier]
    before = [(NOON + hours * HOUR, (pico, tokens)) for hours, pico, tokens in earlier]
    budget = Budget(cap_pico=caps[0], cap_tokens=caps[1], per="day", earlier=before)
    if not budget.daily:
        return
    held: list[tuple[float, int, int]] = []
    today = NOON // DAY
    budget.turn_day(NOON)
    for kind, *given_ in steps:
        if kind == "turn":
            wall = NOON + given_[0] * HOUR
            today = wall // DAY
            assert budget.turn_day(wall) == (today + 1) * DAY
        elif kind == "reserve":
            sums = [
                sum(one[at] for one in booked if one[0] >= today) + sum(one[at] for one in held) + given_[at - 1]
                for at in (1, 2)
            ]
            fits = all(cap is None or amount <= cap for amount, cap in zip(sums, caps, strict=True))
            assert budget.reserve(*given_) is fits
            held += [(today, given_[0], given_[1])] if fits else []
        elif held:
            day, pico, tokens = held.pop(given_[0] % len(held))
            if kind == "release":
                budget.release(pico, tokens)
            else:
                cost, used = pico * given_[1] // 100, tokens * given_[1] // 100
                budget.settle(pico, tokens, cost_pico=cost, used_tokens=used, sent_on=day * DAY)
                booked.append((day, cost, used))
        assert budget.spent_pico == sum(one[1] for one in booked if one[0] >= today)
        assert budget.spent_tokens == sum(one[2] for one in booked if one[0] >= today)
        assert (budget.reserved_pico, budget.reserved_tokens) == (sum(o[1] for o in held), sum(o[2] for o in held))
        assert (budget.outstanding, budget.alarm) == (len(held), None)
