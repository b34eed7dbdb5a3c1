"""How the breaker looks for an endpoint again, and what it takes for an outage when answers come late."""

from __future__ import annotations

import math

import pytest

from parquill.limits.breaker import IN_A_ROW, Breaker
from tests.test_limits_breaker import once, reply, sent, tripped


def outage(breaker: Breaker, now: float) -> float:
    """Let it open, and return how long the first look waits."""
    for _ in range(IN_A_ROW):
        once(breaker, now, failed=True)
    assert breaker.is_open
    return breaker.opens_at(now) - now


def end(breaker: Breaker, now: float) -> None:
    at = breaker.opens_at(now)
    assert breaker.opens_at(at) == at
    reply(breaker, sent(breaker, at), at, failed=False)
    assert not breaker.is_open


def test_outages_that_follow_each_other_are_looked_at_later_up_to_two_and_a_half_seconds() -> None:
    breaker = Breaker()
    assert outage(breaker, 0.0) == 1.0
    end(breaker, 0.0)
    assert outage(breaker, 20.0) == 2.0
    end(breaker, 20.0)
    assert outage(breaker, 40.0) == 2.5
    end(breaker, 40.0)
    assert outage(breaker, 80.0) == 1.0, "more than half a minute later it is another outage"
    assert breaker.trips == 4


def test_looks_are_counted_from_their_beginning_however_long_they_take() -> None:
    breaker = tripped(looks=True)
    assert breaker.wants_look(1.0)
    breaker.looked(1.2, found=False)
    assert breaker.opens_at(1.2) == 3.5
    assert breaker.wants_look(3.5), "as soon as it is due"
    breaker.looked(9.0, found=False)
    assert breaker.opens_at(9.0) == math.inf
    assert breaker.wants_look(9.0)


def test_a_wait_that_the_endpoint_asks_a_probe_for_comes_before_the_next() -> None:
    breaker = tripped()
    now = breaker.opens_at(0.0)
    assert breaker.opens_at(now) == now
    reply(breaker, sent(breaker, now), now, failed=True, wait=50.0)
    assert breaker.opens_at(now) == now + 50.0


@pytest.mark.parametrize(("slowest", "opens"), [(2.0, True), (0.1, False)])
def test_requests_under_way_speak_against_an_outage_once_they_outlived_its_slowest_fault_twice(
    slowest: float, opens: bool
) -> None:
    breaker = Breaker()
    old = [sent(breaker, number * 0.1) for number in range(10)]
    faults = [sent(breaker, 10.0) for _ in range(IN_A_ROW)]
    sent(breaker, 10.0)  # it stays under way
    for number, ticket in enumerate(faults[:-1]):
        reply(breaker, ticket, 10.1, failed=True)
        reply(breaker, old[number], 10.1, failed=False)
    late = 10.0 + slowest if opens else 12.0
    if not opens:
        faults[-1] = sent(breaker, 12.0 - slowest)
    reply(breaker, faults[-1], late, failed=True)
    assert breaker.is_open is opens


def test_a_probe_of_an_earlier_outage_says_nothing_about_this_one() -> None:
    breaker = tripped()
    now = breaker.opens_at(0.0)
    assert breaker.opens_at(now) == now
    first = sent(breaker, now)
    breaker.unsent(first)
    second = sent(breaker, now)
    reply(breaker, second, now, failed=False)
    assert outage(breaker, now) > 0
    reply(breaker, first, now + 0.1, failed=False)
    assert breaker.is_open
