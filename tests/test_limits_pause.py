"""The pause by itself: how long it is, who tries the way, how the rest follow."""

from __future__ import annotations

import itertools
import math

import pytest

from parquill.limits.concurrency_search import ConcurrencySearch
from parquill.limits.pause import FIRST_PAUSE, LONGEST_PAUSE, RAMP, SLACK, TRIAL, Pause
from parquill.limits.rate_search import RateSearch
from parquill.limits.throttle import Proven, Throttle
from parquill.limits.tickets import Scope
from parquill.limits.window import Meter


def test_each_lone_request_that_is_refused_doubles_the_pause_up_to_its_longest() -> None:
    pause, now, lengths = Pause(), 100.0, [FIRST_PAUSE]
    pause.shut(now)
    assert pause.opens_at(now) == now + FIRST_PAUSE
    for _ in range(12):
        now = pause.opens_at(now)
        pause.sent(now, 1)
        pause.trial_refused(now)
        lengths.append(pause.opens_at(now) - now)
    assert lengths[-1] == LONGEST_PAUSE
    assert all(after == pytest.approx(min(LONGEST_PAUSE, 2 * one)) for one, after in itertools.pairwise(lengths))
    pause.shut(now)
    assert pause.opens_at(now) == now + FIRST_PAUSE


def test_a_pause_lasts_as_long_as_the_server_asks_and_no_reply_makes_it_shorter() -> None:
    pause = Pause()
    pause.shut(0.0)
    pause.extend(0.0, 30.0)
    pause.extend(1.0, 5.0)
    assert pause.until == 30.0 + SLACK
    other = Pause()
    other.extend(7.0, 5.0)
    assert other.until == 12.0 + SLACK


def test_the_way_is_free_once_the_lone_request_was_out_long_enough() -> None:
    pause = Pause()
    pause.sent(5.0, 3)
    assert not pause.is_trial(5.0), "nothing was shut"
    pause.shut(10.0)
    pause.sent(11.0, 4)
    assert pause.trial_level == 4
    assert (pause.is_trial(11.0), pause.is_trial(10.9)) == (True, False)
    assert pause.opens_at(11.0) == 11.0 + TRIAL
    assert not pause.passed(11.0 + TRIAL - 0.01)
    assert pause.passed(11.0 + TRIAL)
    pause.unsent(10.5)
    assert pause.is_trial(11.0)
    pause.unsent(11.0)
    assert not pause.is_trial(11.0)


@pytest.mark.parametrize(("latency", "ramp"), [(0.0, RAMP), (10 * RAMP, 10 * RAMP)])
def test_the_rest_follow_on_a_ramp_as_long_as_an_answer_takes(latency: float, ramp: float) -> None:
    pause = Pause()
    assert pause.slots_at(0.0, 100) == 100
    assert pause.next_step(0.0, 100) == math.inf
    pause.shut(0.0)
    assert pause.open(10.0, latency) == 10.0
    steps = [pause.slots_at(10.0 + ramp * share, 100) for share in (0.0, 0.005, 0.25, 0.5, 0.995)]
    assert steps == [1, 1, 25, 50, 100]
    assert pause.next_step(10.0, 100) == pytest.approx(10.0 + ramp / 100)
    assert pause.slots_at(10.0 + ramp, 100) == 100
    assert pause.ramp_from is None


def test_the_ramp_begins_with_as_many_as_were_in_flight_with_the_lone_request() -> None:
    pause = Pause()
    pause.shut(0.0)
    pause.sent(2.0, 30)
    assert pause.open(4.0, 0.0) == 2.0
    assert pause.slots_at(4.0, 100) == 30
    assert pause.slots_at(4.0, 20) == 20
    pause.ramp(5.0, 0.0)
    assert pause.slots_at(5.0, 100) == 1


def throttle() -> Throttle:
    return Throttle(Meter(math.inf, 0.0), RateSearch(math.inf, 0.0), ConcurrencySearch(100, 100, 0.0), 0.0)


def test_after_an_outage_rows_follow_over_the_time_that_answers_took_lately() -> None:
    one = throttle()
    for number in range(600):
        one.answered(1000.0 + number, 1000.0 + number - (3.0 if number < 300 else 20.0), waiting=True)
    one.recovered(2000.0)
    assert one.pause.slots_at(2010.0, 100) == pytest.approx(50, abs=2)
    assert one.pause.slots_at(2019.0, 100) < 100
    assert one.pause.slots_at(2020.5, 100) == 100


def test_what_was_taken_within_a_minute_is_remembered_for_five() -> None:
    proven = Proven()
    assert proven.most() == 0
    for number in range(300):
        proven.took(1000.0 + number * 0.5)  # 120 a minute for two and a half minutes
    assert proven.most() == pytest.approx(120, abs=13)
    for number in range(30):
        proven.took(1160.0 + number * 0.1)
    assert proven.most() >= 120
    lone = Proven()
    for _ in range(7):
        lone.took(500.0)
    assert lone.most() == 7
    lone.took(900.0)
    assert lone.most() == 1, "seven minutes later the seven are forgotten"


@pytest.mark.parametrize(
    ("trial_level", "wait", "scope", "is_rate"),
    [
        (39, None, Scope.UNCLEAR, True),
        (1, None, Scope.UNCLEAR, True),
        (90, 6.0, Scope.UNCLEAR, True),
        (90, None, Scope.RATE, True),
        (39, None, Scope.CONCURRENCY, False),
    ],
)
def test_a_lone_request_that_is_refused_with_few_in_flight_speaks_of_a_rate(
    trial_level: int, wait: float | None, scope: Scope, is_rate: bool
) -> None:
    one = throttle()
    for number in range(300):
        one.sent(number * 0.01, 100)
        one.requests.take(number * 0.01, 1, late=False)
    for _ in range(6):
        one.refused(3.0, 2.9, 100, wait, scope)
    now = one.opens_at(3.0)
    one.sent(now, trial_level)
    one.refused(now + 0.1, now, trial_level, None, Scope.UNCLEAR)
    now = one.opens_at(now)
    one.sent(now, trial_level)
    one.answered(now + 0.5, now, waiting=True)
    assert (one.rates.value < math.inf) is is_rate
    assert (one.slots.value < 100) is not is_rate
