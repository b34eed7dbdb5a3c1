"""The search for a rate, step by step: how far a refusal cuts, how far a clean time raises, when more is tried."""

from __future__ import annotations

import itertools
import math

import pytest

from parquill.limits.rate_search import RateSearch
from parquill.limits.search_stage import Stage


class Searching:
    """A search whose rate is used to the full, in steps of a second."""

    def __init__(self, ceiling: float = math.inf) -> None:
        self.search = RateSearch(ceiling, 0.0)
        self.now, self.sent = 10.0, 600.0

    def refused(self, attempted: float | None = None, counted: float | None = None, floor: float = 0.0) -> float:
        attempted = self.search.value if attempted is None else attempted
        self.search.refused(self.now, int(self.sent), attempted, counted, floor=floor)
        return self.search.value

    def seconds_to(self, stage: Stage, most: int = 5000) -> int:
        """Return after how many clean seconds the search does something, and is then in this stage."""
        for second in range(1, most):
            before = (self.search.stage, self.search.value)
            self.now += 1.0
            self.sent += self.search.value / 60
            self.search.quiet(self.now, int(self.sent))
            if (self.search.stage, self.search.value) != before:
                assert self.search.stage is stage
                return second
        raise AssertionError(f"never in {stage}")

    def clean(self) -> float:
        """Let the value in force prove clean; return the next."""
        before = self.search.value
        for _ in range(200):
            self.now += 1.0
            self.sent += before / 60
            self.search.quiet(self.now, int(self.sent))
            if self.search.value != before or self.search.stage is Stage.HOLD:
                break
        return self.search.value


def test_after_an_unpaced_refusal_steps_double_from_four_percent_to_a_half() -> None:
    one = Searching()
    values = [one.refused(3600.0)]
    assert values == [pytest.approx(2880)]
    values += [one.clean() for _ in range(7)]
    steps = [after / before - 1 for before, after in itertools.pairwise(values)]
    assert steps == pytest.approx([0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5])


def test_a_paced_refusal_is_a_bound_and_what_lies_below_is_halved_until_it_is_found() -> None:
    one = Searching()
    one.refused(3600.0)
    assert one.refused() == pytest.approx(2880 * 0.6), "cuts double"
    values = [one.search.value]
    while one.search.stage is Stage.CHECK:
        values.append(one.clean())
    assert values[:3] == pytest.approx([1728, (1728 + 2880) / 2, ((1728 + 2880) / 2 + 2880) / 2])
    assert max(values) < 2880
    assert one.search.value * 1.02 >= 2880 or one.search.value == values[-1]
    assert 2880 / 1.02 <= one.search.value < 2880


def test_between_what_is_clean_and_what_was_refused_the_middle_is_tried() -> None:
    one = Searching(1000.0)
    assert one.refused() == pytest.approx(970)
    clean = one.search.value
    assert one.clean() == pytest.approx((clean + 1000) / 2)
    attempted = one.search.value
    assert one.refused() == pytest.approx(attempted * 0.97), "they lie within 2 % of each other already"
    one = Searching()
    one.refused(3600.0)
    low = one.search.value
    for _ in range(3):
        low = one.search.value
        one.clean()
    attempted = one.search.value
    assert attempted > low * 1.02
    assert one.refused() == pytest.approx((low + attempted) / 2)


def test_cuts_are_small_again_after_a_clean_time() -> None:
    one = Searching()
    one.refused(3600.0)
    one.refused()
    while one.search.stage is not Stage.HOLD:
        one.clean()
    found = one.search.value
    assert one.refused() == pytest.approx(found * 0.97)


def test_each_higher_rate_that_is_refused_doubles_the_time_to_the_next_up_to_ten_minutes() -> None:
    one = Searching(1000.0)
    one.refused()
    while one.search.stage is not Stage.HOLD:
        one.clean()
    found, waits = one.search.value, []
    for _ in range(6):
        waits.append(one.seconds_to(Stage.PROBE))
        assert one.search.value == pytest.approx(min(1000.0, found * 1.02))
        assert one.refused() == found
        assert one.search.stage is Stage.HOLD
    assert waits == [60, 120, 240, 480, 600, 600]


def test_refusals_before_anything_was_clean_make_the_first_try_of_a_higher_rate_later() -> None:
    one = Searching()
    one.refused(3600.0)
    one.refused()
    while one.search.stage is not Stage.HOLD:
        one.clean()
    assert one.seconds_to(Stage.PROBE) == 120


def test_a_higher_rate_that_is_clean_is_gone_on_from_by_a_tenth_and_more() -> None:
    one = Searching(2000.0)
    one.refused()
    while one.search.stage is not Stage.HOLD:
        one.clean()
    one.refused()
    while one.search.stage is not Stage.HOLD:
        one.clean()
    found = one.search.value
    one.seconds_to(Stage.PROBE)
    assert one.search.value == pytest.approx(found * 1.02)
    assert one.clean() == pytest.approx(min(2000, found * 1.02 * 1.1))
    assert one.search.stage is Stage.CHECK
    refused = one.search.value
    assert one.refused() < refused, "it is cut like any other, not put back to what was held"
    assert one.search.stage is Stage.CHECK


def test_the_highest_rate_is_held_once_it_is_clean() -> None:
    one = Searching(1000.0)
    one.refused()
    for _ in range(400):
        one.clean()
        assert one.search.value <= 1000.0
    assert (one.search.value, one.search.stage) == (1000.0, Stage.HOLD)


@pytest.mark.parametrize(
    ("counted", "value"), [(600.0, 600 * 0.986), (3000.0, 3000 * 0.986), (3700.0, 3600 * 0.8), (20.0, 3600 / 4)]
)
def test_a_count_of_the_minute_is_taken_where_it_says_less_than_was_tried(counted: float, value: float) -> None:
    assert Searching().refused(3600.0, counted) == pytest.approx(value)


def test_a_small_count_of_a_paced_minute_is_believed() -> None:
    one = Searching(3600.0)
    one.refused(3600.0, 3000.0)
    assert one.refused(None, 20.0) == pytest.approx(3600.0 * 0.0 + 20 * 0.986)


def test_where_a_server_counts_by_the_minute_higher_rates_are_tried_a_third_as_often_and_further() -> None:
    one = Searching()
    one.refused(3600.0, 3500.0)
    while one.search.stage is not Stage.HOLD:
        one.clean()
    found = one.search.value
    assert found <= 3500 * 1.005
    assert one.seconds_to(Stage.PROBE) == 180
    assert one.clean() == pytest.approx(found * 1.02 * 1.25)
    one.search.forget(one.now)
    assert (one.search.value, one.search.stage) == (math.inf, Stage.FREE)
    one.refused(3600.0)
    assert one.seconds_to(Stage.CHECK) <= 65, "nothing is known of its minutes any more"


@pytest.mark.parametrize(("floor", "value"), [(0.0, 2880), (3000.0, 3000), (3600.0, 3600 * 0.97)])
def test_nothing_is_cut_below_what_was_taken_lately_but_by_a_little(floor: float, value: float) -> None:
    assert Searching().refused(3600.0, None, floor) == pytest.approx(value)


def test_no_rate_is_below_one_a_minute() -> None:
    one = Searching()
    for _ in range(40):
        one.refused(min(one.search.value, 100.0))
    assert one.search.value == 1.0


def test_a_rate_that_is_free_stays_free_however_quiet_it_is() -> None:
    one = Searching()
    one.search.quiet(10_000.0, 10**6)
    assert (one.search.value, one.search.stage) == (math.inf, Stage.FREE)


def test_a_rate_that_was_used_too_little_is_looked_at_anew_from_then_on() -> None:
    one = Searching()
    value = one.refused(3600.0, 600.0)
    one.now += 66.0
    one.sent += value / 2
    one.search.quiet(one.now, int(one.sent))
    assert one.search.value == value
    assert one.seconds_to(Stage.CHECK) == 65
