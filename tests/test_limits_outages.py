"""Outages in simulated time: how soon an endpoint is found again, what is sent into one, and what follows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.outages import OutageWorld, Seen

BEGIN = 40.0
AFTER = 60.0


def seen(kind: str, length: float, seed: int) -> Seen:
    world = OutageWorld(kind, BEGIN + seed % 7, length, seed=seed)
    world.run(BEGIN + seed % 7 + 1.05 * length + AFTER)
    return world.seen


def goals(one: Seen, length: float) -> None:
    assert one.into <= 20
    if one.looks:
        assert one.found is not None
        assert one.found <= (5.0 if length <= 120 else 0.05 * length)
        assert one.most_after <= one.most_before


@pytest.mark.parametrize("length", [1.0, 20.0, 90.0, 120.0, 600.0, 3600.0])
@pytest.mark.parametrize("kind", ["gone", "502"])
def test_an_endpoint_is_found_within_five_seconds_and_little_is_sent_meanwhile(kind: str, length: float) -> None:
    goals(seen(kind, length, seed=1), length)
    goals(seen(kind, length, seed=2), length)


@settings(max_examples=8)
@given(st.sampled_from(["gone", "502"]), st.floats(1.0, 3600.0), st.integers(0, 10**6))
def test_that_holds_for_every_length(kind: str, length: float, seed: int) -> None:
    goals(seen(kind, length, seed), length)


@pytest.mark.parametrize("length", [101.0, 120.0, 600.0, 3600.0])
def test_one_that_falls_silent_is_found_as_soon_once_its_requests_have_timed_out(length: float) -> None:
    goals(seen("silent", length, seed=1), length)


@pytest.mark.parametrize("length", [5.0, 60.0])
def test_a_short_silence_costs_no_more_than_the_time_out_of_what_was_under_way(length: float) -> None:
    assert seen("silent", length, seed=2).into <= 20


def test_slow_answers_are_answers() -> None:
    one = seen("slow", 60.0, seed=3)
    assert one.found is not None
