"""Outages in simulated time: how soon an endpoint is found again, what is sent into one, and what follows."""

from __future__ import annotations

import math

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from parquill.limits.silence import Silence
from tests.lanes import some
from tests.simulation.outages import OutageWorld, Seen

BEGIN = 40.0
AFTER = 60.0


def seen(kind: str, length: float, seed: int, *, looks_answer: bool = False) -> Seen:
    world = OutageWorld(kind, BEGIN + seed % 7, length, seed=seed, looks_answer=looks_answer)
    world.run(BEGIN + seed % 7 + (1.9 if looks_answer else 1.05) * length + AFTER)
    return world.seen


def goals(one: Seen, length: float) -> None:
    assert one.into <= 20
    if one.looks:
        assert one.found is not None
        assert one.found <= (5.0 if length <= 120 else 0.05 * length)
        assert one.most_after <= one.most_before


@pytest.mark.parametrize("length", [1.0, 20.0, 90.0, 120.0, 600.0, 3600.0])
@pytest.mark.parametrize("kind", ["gone", "502", "silent"])
def test_an_endpoint_is_found_within_five_seconds_and_little_is_sent_meanwhile(kind: str, length: float) -> None:
    for seed in some((1, 2)):
        goals(seen(kind, length, seed), length)


@settings(max_examples=8)
@given(st.sampled_from(["gone", "502", "silent"]), st.floats(1.0, 3600.0), st.integers(0, 10**6))
def test_that_holds_for_every_length(kind: str, length: float, seed: int) -> None:
    goals(seen(kind, length, seed), length)


@settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@example("502", 2141.15854370768, 323660)  # 18 had left before the first fault was back
@given(st.sampled_from(["502", "silent"]), st.floats(1.0, 3600.0), st.integers(0, 10**6))
def test_where_only_completions_fail_at_most_twenty_are_sent_however_long_it_takes(
    kind: str, length: float, seed: int
) -> None:
    """So few cannot find it within a twentieth of an hour: each waits longer than the one before, by a factor."""
    one = seen(kind, length, seed, looks_answer=True)
    assert one.into <= 20
    assert one.most_after <= one.most_before or not one.looks


@pytest.mark.parametrize("length", [60.0, 600.0])
@pytest.mark.parametrize("kind", ["502", "silent"])
def test_where_only_completions_fail_it_is_found_within_the_length_of_the_outage(kind: str, length: float) -> None:
    one = seen(kind, length, 1, looks_answer=True)
    assert one.found is not None
    assert one.found <= length


@settings(max_examples=4)
@given(st.floats(1.0, 600.0), st.integers(0, 10**6))
def test_slow_answers_are_answers_and_no_more_is_in_flight_after_them(length: float, seed: int) -> None:
    one = seen("slow", length, seed)
    assert one.most_after <= one.most_before


def test_requests_that_a_silent_endpoint_lost_take_no_slot_once_it_answers_again() -> None:
    world = OutageWorld("silent", 40.0, 30.0, seed=4)
    world.run(60.0)
    assert world.state.breaker.is_open
    world.run(15.0)
    assert not world.state.breaker.is_open
    assert world.state.lost
    assert world.state.in_flight > world.state.throttle.slots.value
    world.run(200.0)
    assert world.state.lost == 0


def test_a_pause_of_an_endpoint_that_answers_many_at_once_is_no_silence() -> None:
    silence, now = Silence(), 0.0
    silence.listen(now)
    for _ in range(4):
        now += 30.0
        for _ in range(8):
            silence.heard(now)
    assert silence.due == pytest.approx(now + 90.0, rel=0.2)


def test_nothing_is_made_of_a_silence_before_what_is_usual_is_known() -> None:
    silence = Silence()
    silence.listen(0.0)
    assert silence.due == math.inf
