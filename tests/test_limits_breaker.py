"""Faults hold rows back, without a limit moving and without using up attempts."""

from __future__ import annotations

import math

import pytest

from parquill.limits.breaker import Breaker, RetryAllowance


def tripped(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(20):
        breaker.record(now, 0, failed=True)
    return breaker


def test_it_opens_at_half_of_twenty_and_not_before() -> None:
    breaker = Breaker()
    for number in range(19):
        breaker.record(number * 0.1, 0, failed=number % 2 == 0)
    assert not breaker.is_open
    breaker.record(2.0, 0, failed=True)
    assert breaker.is_open


def test_faults_of_more_than_thirty_seconds_ago_do_not_count() -> None:
    breaker = Breaker()
    for _ in range(19):
        breaker.record(0.0, 0, failed=True)
    breaker.record(40.0, 0, failed=True)
    assert not breaker.is_open


def test_after_a_rest_it_lets_one_two_and_four_probes_through_then_closes() -> None:
    breaker = tripped()
    assert breaker.opens_at(1.0) == 5.0
    for probes in (1, 2, 4):
        marks = []
        for _ in range(probes):
            assert breaker.opens_at(6.0) == 6.0
            marks.append(breaker.sent())
        assert breaker.opens_at(6.0) == math.inf
        for mark in marks:
            breaker.record(6.0, mark, failed=False)
    assert not breaker.is_open


def test_each_bad_probe_doubles_the_rest_up_to_two_minutes() -> None:
    breaker, now, rests = tripped(), 0.0, []
    for _ in range(7):
        assert breaker.until is not None
        rests.append(breaker.until - now)
        now = breaker.until
        breaker.record(now, breaker.sent(), failed=True)
    assert rests == [5, 10, 20, 40, 80, 120, 120]


def test_replies_to_requests_from_before_it_opened_change_nothing() -> None:
    breaker = tripped()
    for _ in range(10):
        breaker.record(6.0, 0, failed=False)
    assert breaker.is_open


def test_a_probe_that_was_not_sent_may_be_sent_again() -> None:
    breaker = tripped()
    mark = breaker.sent()
    assert breaker.opens_at(6.0) == math.inf
    breaker.unsent(mark)
    assert breaker.opens_at(6.0) == 6.0


def spend(allowance: RetryAllowance, now: float) -> int:
    """Send retries while they are allowed."""
    for count in range(1000):
        if allowance.free_at(now) > now:
            return count
        allowance.sent(now, retry=True)
    raise AssertionError("retries without end")


@pytest.mark.parametrize(("firsts", "retries"), [(0, 10), (100, 20), (1000, 110)])
def test_retries_are_a_tenth_of_first_attempts_and_one_a_second(firsts: int, retries: int) -> None:
    allowance = RetryAllowance()
    for _ in range(firsts):
        allowance.sent(1.0, retry=False)
    assert spend(allowance, 1.0) == retries
    assert allowance.free_at(1.0) == 11.0


def test_ten_seconds_later_they_are_forgotten() -> None:
    allowance = RetryAllowance()
    spend(allowance, 1.0)
    assert spend(allowance, 11.0) == 10


def test_a_retry_after_a_throttle_is_not_counted() -> None:
    allowance = RetryAllowance()
    for _ in range(5):
        allowance.excuse()
    assert spend(allowance, 1.0) == 15
