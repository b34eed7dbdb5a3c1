"""The searches by themselves: what one refusal, one quiet time and one round do."""

from __future__ import annotations

import itertools
import math

import pytest

from parquill.limits.concurrency_search import ConcurrencySearch
from parquill.limits.random_refusals import RandomRefusals
from parquill.limits.rate_search import RateSearch
from parquill.limits.search_stage import Stage


def clean(search: RateSearch, now: float, sent: int) -> tuple[float, int]:
    """Let the rate in force pass for a minute and a bit, used to the full."""
    now, sent = now + 66.0, sent + int(search.value * 66 / 60) + 1
    search.quiet(now, sent)
    return now, sent


def test_an_unnamed_rate_is_unlimited_until_a_refusal() -> None:
    search = RateSearch(math.inf, 0.0)
    assert search.value == math.inf
    search.refused(10.0, 600, 3600.0, 590.0, floor=0.0)
    assert search.value == pytest.approx(590, rel=0.02)


def test_a_count_of_the_servers_minute_is_found_after_one_clean_minute() -> None:
    search = RateSearch(math.inf, 0.0)
    search.refused(10.0, 600, 3600.0, 600.0, floor=0.0)
    now, sent = clean(search, 10.0, 600)
    search.refused(now, sent, search.value, 600.0, floor=0.0)
    clean(search, now, sent)
    assert search.stage is Stage.HOLD
    assert 0.97 * 600 <= search.value <= 600


def test_a_quiet_time_in_which_the_rate_was_not_used_proves_nothing() -> None:
    search = RateSearch(math.inf, 0.0)
    search.refused(10.0, 600, 3600.0, 600.0, floor=0.0)
    value = search.value
    search.quiet(100.0, 610)
    assert search.value == value


def test_cuts_grow_but_creep_below_what_was_taken_lately() -> None:
    search, values = RateSearch(math.inf, 0.0), [1000.0]
    for _ in range(8):
        search.refused(1.0, 0, values[-1], None, floor=200.0)
        values.append(search.value)
    cuts = [later / earlier for earlier, later in itertools.pairwise(values)]
    assert cuts[0] > cuts[1] > cuts[2]
    assert cuts[-3:] == pytest.approx([0.97] * 3)


def test_a_told_rate_is_cut_by_little_and_never_exceeded() -> None:
    search = RateSearch(1000.0, 0.0)
    search.refused(10.0, 100, 1000.0, None, floor=0.0)
    assert search.value == pytest.approx(970)
    now, sent = 10.0, 100
    for _ in range(40):
        now, sent = clean(search, now, sent)
        assert search.value <= 1000.0


def rounds(search: ConcurrencySearch, now: float, latency: float, capacity: float, times: int) -> float:
    """Answer as a server does that works on `capacity` at once."""
    for _ in range(times):
        turnover, seconds = search.value, latency * max(1.0, search.value / capacity)
        for number in range(turnover):
            at = now + seconds * (number + 1) / turnover
            search.answered(at, at - seconds, waiting=True)
        now += seconds
    return now


def test_slots_double_in_each_turnover_while_that_gains() -> None:
    search = ConcurrencySearch(32, 1024, 0.0)
    rounds(search, 0.0, 0.2, math.inf, 5)
    assert search.value == 1024


def test_slots_stop_growing_where_more_of_them_gain_nothing() -> None:
    search = ConcurrencySearch(32, 1024, 0.0)
    rounds(search, 0.0, 1.0, 100, 12)
    assert 100 <= search.value <= 256


def test_slots_do_not_grow_while_no_request_waits_for_one() -> None:
    search = ConcurrencySearch(32, 1024, 0.0)
    for number in range(1000):
        search.answered(number * 0.01, number * 0.01, waiting=False)
    assert search.value == 32


def test_one_refusal_takes_at_most_three_quarters_of_the_slots() -> None:
    search = ConcurrencySearch(32, 1024, 0.0)
    search.refused(1.0, 1, 0)
    assert search.value >= 7


def test_refusals_far_apart_in_number_raise_doubt_about_slots() -> None:
    search = ConcurrencySearch(512, 1024, 0.0)
    for level, now in ((400, 1.0), (300, 10.0), (200, 20.0)):
        assert not search.doubtful(now)
        search.refused(now, level, level // 2)
    assert search.doubtful(21.0)
    assert not search.doubtful(500.0)


def test_a_few_refusals_among_thousands_are_tolerated_three_in_a_row_are_not() -> None:
    noise = RandomRefusals()
    assert not any(noise.exceeds(float(number), number * 1000) for number in range(1, 50))
    assert [noise.exceeds(60.0, 60_000 + number) for number in range(3)] == [False, False, True]


def test_refusals_as_frequent_at_a_quarter_of_the_load_are_unrelated_to_it() -> None:
    noise, sent = RandomRefusals(), 0
    verdicts = []
    for load in (100, 100, 25, 25):
        for _ in range(4):
            sent += 50
            noise.exceeds(0.0, sent)
        verdicts.append(noise.stretch(1.0, 200 / load, 200))
    assert verdicts.index(True) == 2
    assert noise.noisy(2.0)


def test_a_limit_refuses_several_in_a_row_which_is_never_taken_for_noise() -> None:
    noise, sent = RandomRefusals(), 0
    for load in (100, 100, 100, 100, 100, 25, 25, 25, 25, 25):
        sent += 200
        for _ in range(4):
            sent += 1
            noise.exceeds(0.0, sent)
        assert not noise.stretch(1.0, 3000 / load, 3000 if load == 25 else 204)


def test_refusals_known_to_be_unrelated_are_tolerated_at_twice_their_share() -> None:
    noise, sent = RandomRefusals(), 0
    for load in (100, 100, 25):
        for _ in range(4):
            sent += 50
            noise.exceeds(0.0, sent)
        noise.stretch(1.0, 200 / load, 200)
    assert noise.noisy(2.0)
    assert not any(noise.exceeds(2.0, sent + 25 * number) for number in range(1, 200)), "one in 25, as expected of 2 %"
    sent += 25 * 200
    assert any(noise.exceeds(2.0, sent + 10 * number) for number in range(1, 200)), "one in ten is a limit"
    assert not noise.noisy(3000.0)
