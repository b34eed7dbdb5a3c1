"""Faults hold rows back, without a limit moving and without using up attempts."""

from __future__ import annotations

import itertools
import math

import pytest

from parquill.limits.breaker import IN_A_ROW, Breaker, RetryAllowance
from parquill.limits.tickets import ADMITTED, SETTLED, Need, Ticket


def sent(breaker: Breaker, now: float) -> Ticket:
    ticket = Ticket(Need(1, 0, 0), retry=False)
    ticket.phase, ticket.sent_at = ADMITTED, now
    breaker.sent(ticket)
    return ticket


def reply(breaker: Breaker, ticket: Ticket, now: float, *, failed: bool, wait: float = 0.0) -> None:
    ticket.phase = SETTLED
    breaker.record(now, ticket, failed=failed, wait=wait)


def once(breaker: Breaker, now: float, *, failed: bool) -> None:
    reply(breaker, sent(breaker, now), now, failed=failed)


def tripped(now: float = 0.0, *, looks: bool = False) -> Breaker:
    breaker = Breaker(looks=looks)
    for _ in range(IN_A_ROW):
        once(breaker, now, failed=True)
    assert breaker.is_open
    return breaker


def test_it_opens_at_six_faults_in_a_row_and_not_before() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            once(breaker, 0.0, failed=True)
        once(breaker, 0.0, failed=False)
        assert not breaker.is_open
        breaker = Breaker()
    tripped()


def test_it_opens_at_half_of_twenty_and_not_before() -> None:
    breaker = Breaker()
    for number in range(19):
        once(breaker, number * 0.1, failed=number % 2 == 0)
    assert not breaker.is_open
    once(breaker, 2.0, failed=True)
    assert breaker.is_open


def test_faults_of_more_than_thirty_seconds_ago_do_not_count() -> None:
    breaker = Breaker()
    for number in range(19):
        once(breaker, 0.0, failed=number % 3 > 0)
    for number in range(19):
        once(breaker, 40.0, failed=number % 3 == 0)
    assert not breaker.is_open


def test_answers_to_what_was_sent_before_an_outage_do_not_hide_it() -> None:
    """Slow answers of before come among the quick faults: what counts is the order of sending."""
    breaker = Breaker()
    old = [sent(breaker, number * 0.01) for number in range(40)]
    now, faults = 1.0, 0
    while not breaker.is_open:
        ticket = sent(breaker, now)
        now += 0.05
        reply(breaker, ticket, now, failed=True)
        faults += 1
        if faults % 3 == 0:
            reply(breaker, old.pop(0), now, failed=False)
    assert faults == IN_A_ROW


def test_a_fault_keeps_its_slot_until_something_sent_later_is_answered() -> None:
    breaker = Breaker()
    before = sent(breaker, 0.0)
    for number in range(3):
        reply(breaker, sent(breaker, 1.0 + number), 1.5 + number, failed=True)
    later = sent(breaker, 4.0)
    assert breaker.suspects == 3
    reply(breaker, before, 4.5, failed=False)
    assert breaker.suspects == 3, "it was sent before them"
    reply(breaker, later, 5.0, failed=False)
    assert breaker.suspects == 0


def test_faults_that_come_faster_than_answers_are_no_outage() -> None:
    breaker = Breaker()
    for second in range(6):
        for number in range(9):
            sent(breaker, second + number * 0.1)
        reply(breaker, sent(breaker, second + 0.95), second + 0.96, failed=True)
        once(breaker, second - 100.0, failed=False)  # an answer to something of long ago
    assert not breaker.is_open


def test_without_looks_one_completion_after_a_second_closes_it_or_the_next_waits_longer() -> None:
    breaker, now, rests = tripped(), 0.0, []
    for _ in range(5):
        at = breaker.opens_at(now)
        rests.append(round(at - now, 1))
        now = at
        assert breaker.opens_at(now) == now
        ticket = sent(breaker, now)
        assert breaker.opens_at(now) == math.inf, "one at a time"
        reply(breaker, ticket, now, failed=True)
    assert rests == [1.0, 4.1, 6.6, 10.7, 17.5]
    now = breaker.opens_at(now)
    assert breaker.opens_at(now) == now
    reply(breaker, sent(breaker, now), now, failed=False)
    assert not breaker.is_open


def test_no_completion_leaves_before_a_look_has_found_the_endpoint() -> None:
    breaker = tripped(looks=True)
    assert not breaker.wants_look(0.5)
    looks, now = [], 1.0
    while now < 59.0:
        assert breaker.opens_at(now) == math.inf
        assert breaker.wants_look(now)
        assert not breaker.wants_look(now), "one at a time"
        looks.append(now)
        breaker.looked(now + 0.2, found=False)
        now = breaker.opens_at(now + 0.2)
    assert max(after - before for before, after in itertools.pairwise(looks)) <= 2.5
    assert breaker.is_certain
    assert breaker.wants_look(now)
    breaker.looked(now, found=True)
    assert breaker.opens_at(now) == now
    reply(breaker, sent(breaker, now), now + 1.0, failed=False)
    assert not breaker.is_open


def test_looks_come_within_a_twentieth_of_a_long_outage() -> None:
    breaker, now = tripped(looks=True), 1.0
    while now < 3600.0:
        assert breaker.wants_look(now)
        breaker.looked(now, found=False)
        if breaker.opens_at(now) <= now:  # a completion without a look's leave
            reply(breaker, sent(breaker, now), now, failed=True)
        after = breaker.opens_at(now)
        assert after - now <= max(5.0, 0.05 * now)
        now = after


def test_it_stays_shut_for_as_long_as_the_endpoint_asks() -> None:
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        reply(breaker, sent(breaker, 0.0), 0.0, failed=True, wait=30.0)
    assert breaker.opens_at(1.0) == 30.0


def test_replies_to_requests_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker()
    old = sent(breaker, 0.0)
    for _ in range(IN_A_ROW):
        once(breaker, 0.0, failed=True)
    reply(breaker, old, 6.0, failed=False)
    assert breaker.is_open


def test_a_probe_that_was_not_sent_may_be_sent_again() -> None:
    breaker = tripped()
    assert breaker.opens_at(6.0) == 6.0
    ticket = sent(breaker, 6.0)
    assert breaker.opens_at(6.0) == math.inf
    breaker.unsent(ticket)
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
