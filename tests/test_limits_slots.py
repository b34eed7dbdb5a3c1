"""The search for a number in flight, step by step."""

from __future__ import annotations

import pytest

from parquill.limits.concurrency_search import ConcurrencySearch
from parquill.limits.search_stage import Stage


class Searching:
    """A search whose slots are all in use, against a server that answers each request in a second."""

    def __init__(self, start: int = 32, ceiling: int = 1024) -> None:
        self.search = ConcurrencySearch(start, ceiling, 0.0)
        self.now = 0.0

    def refused(self, level: int | None = None, accepted: int | None = None) -> int:
        level = self.search.value if level is None else level
        self.search.refused(self.now, level, level - 1 if accepted is None else accepted)
        return self.search.value

    def turnover(self, *, waiting: bool = True) -> int:
        """Answer as many requests as fit, in a second."""
        count = self.search.value
        for number in range(count):
            at = self.now + (number + 1) / count
            self.search.answered(at, at, waiting=waiting)
        self.now += 1.0
        return self.search.value

    def next_value(self, most: int = 2000) -> int:
        """Go on until another number is tried."""
        before = self.search.value
        for _ in range(most):
            if self.turnover() != before:
                break
        return self.search.value

    def settle(self, limit: int) -> None:
        """Go on, refused above `limit`, until a number is held."""
        for _ in range(2000):
            if self.search.stage is Stage.HOLD:
                return
            if self.search.value > limit:
                self.refused(limit + 1, limit)
            else:
                self.turnover()
        raise AssertionError("no number was found")


@pytest.mark.parametrize("limit", [3, 10, 47, 100, 500])
def test_a_limit_is_found_to_two_percent_and_held(limit: int) -> None:
    one = Searching()
    one.settle(limit)
    assert limit - max(1, limit // 50) <= one.search.value <= limit


def test_refusals_cut_by_three_percent_and_by_twice_as_much_where_the_number_had_been_clean() -> None:
    one = Searching(1000)
    assert [one.refused(accepted=0) for _ in range(3)] == [970, 941, 913]
    start = one.now
    one.next_value()
    assert one.now - start == 2.0, "two clean rounds"
    assert one.refused(accepted=0) == 913, "not below what was clean"
    assert one.refused(accepted=0) == 859, "6 percent: even that was refused"
    assert one.refused(accepted=0) == 808
    one.next_value()
    assert [one.refused(accepted=0) for _ in range(2)] == [809, 808]
    assert one.refused(accepted=0) == 760, "6 percent again, not 12: a clean time makes cuts small"


def test_after_two_clean_rounds_the_middle_is_tried() -> None:
    one = Searching(1000)
    assert one.refused(accepted=0) == 970
    assert one.next_value() == (970 + 1000) // 2
    assert one.refused() == 970, "not below what was clean"
    for _ in range(2):
        one.turnover()
    assert (one.search.value, one.search.stage) == (970, Stage.HOLD), "within 2 percent of what was refused"


def test_answers_to_requests_from_before_a_cut_prove_nothing() -> None:
    one = Searching(100)
    one.now = 50.0
    value = one.refused()
    for _ in range(1000):
        one.search.answered(60.0, 49.0, waiting=True)
    assert (one.search.value, one.search.stage) == (value, Stage.CHECK)


def test_answers_while_nothing_waits_prove_nothing() -> None:
    one = Searching(100)
    value = one.refused()
    for _ in range(20):
        one.turnover(waiting=False)
    assert (one.search.value, one.search.stage) == (value, Stage.CHECK)


def test_a_number_that_was_found_is_tried_to_exceed_later_and_later() -> None:
    one = Searching()
    one.settle(100)
    found, waits = one.search.value, []
    for _ in range(8):
        start = one.now
        assert one.next_value() > found
        assert one.search.stage is Stage.PROBE
        waits.append(one.now - start)
        assert one.refused(found + 1, found) <= found
        one.settle(found)
        assert one.search.value == found
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(600, abs=5)
    assert waits[0] < 70


def test_a_higher_number_that_is_clean_is_grown_on_from() -> None:
    one = Searching()
    one.settle(100)
    found = one.search.value
    one.next_value()
    probe = one.search.value
    assert found < probe <= found + max(1, found // 50)
    for _ in range(200):
        one.turnover()
    assert one.search.value > 2 * found


def test_the_most_that_may_be_in_flight_is_held() -> None:
    one = Searching(32, 40)
    for _ in range(50):
        one.turnover()
        assert one.search.value <= 40
    assert (one.search.value, one.search.stage) == (40, Stage.HOLD)
    one.now += 10_000
    for _ in range(50):
        one.turnover()
    assert (one.search.value, one.search.stage) == (40, Stage.HOLD)


def test_a_search_that_begins_at_its_most_has_nothing_to_look_for() -> None:
    one = Searching(64, 32)
    assert (one.search.value, one.search.stage) == (32, Stage.HOLD)


def test_growth_is_careful_after_a_refusal() -> None:
    one = Searching(64)
    one.settle(100)
    one.search.restore(64, one.now)
    assert one.turnover() == 128, "each answer lets one more go"
    one = Searching(64)
    one.settle(64)
    one.next_value()
    while one.search.stage is not Stage.FREE:
        one.turnover()
    before = one.search.value
    assert one.turnover() - before == pytest.approx(before / 4, abs=1)


def test_what_is_forgotten_begins_anew_with_small_cuts_and_without_a_bound() -> None:
    one = Searching(1000)
    for _ in range(5):
        one.refused(accepted=0)
    one.search.restore(500, one.now)
    assert (one.search.value, one.search.stage, one.search.refusals) == (500, Stage.FREE, 0)
    assert one.refused() == 485
    one.search.restore(500, one.now)
    for _ in range(20):
        one.turnover()
    assert one.search.value == 1024, "an old refusal is no bound"


def test_after_an_outage_the_number_of_before_is_kept_for_two_minutes() -> None:
    one = Searching(64)
    one.search.hold(one.now, 48)
    assert (one.search.value, one.search.stage) == (48, Stage.HOLD)
    start = one.now
    one.next_value()
    assert 120 <= one.now - start <= 130
    one = Searching(64)
    one.search.hold(one.now, 100)
    assert one.search.value == 64, "an outage gives no slots"


def test_a_found_number_is_not_tried_to_exceed_sooner_after_an_outage() -> None:
    one = Searching()
    one.settle(100)
    found = one.search.value
    for _ in range(6):
        one.next_value()
        one.refused(found + 1, found)
        one.settle(found)
    start = one.now
    one.search.hold(one.now, found)
    one.next_value()
    assert one.now - start > 500


def test_a_check_goes_on_two_minutes_after_an_outage_where_it_was() -> None:
    one = Searching(100)
    value = one.refused()
    one.search.hold(one.now, 100)
    assert (one.search.value, one.search.stage) == (value, Stage.CHECK)
    start = one.now
    assert one.next_value() > value
    assert 120 <= one.now - start <= 125


def test_refusals_at_much_the_same_number_raise_no_doubt() -> None:
    one = Searching(500)
    for level in (100, 102, 99, 101, 100, 102):
        one.now += 1.0
        one.refused(level, 90)
        one.search.value = 110
        assert not one.search.doubtful(one.now)


def test_one_odd_refusal_after_several_that_fit_is_forgiven() -> None:
    one = Searching(500)
    for level in (100, 101, 100, 101, 100, 60):
        one.now += 1.0
        one.search.value = 110
        one.refused(level, 50)
    assert not one.search.doubtful(one.now)
    for level in (100, 60):
        one.search.value = 110
        one.refused(level, 50)
    assert one.search.doubtful(one.now)
