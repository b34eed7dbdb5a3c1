"""A limit per minute: never passed in any window, used evenly, and corrected in its own bin."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.limits.window import SPAN, EstimateMeter, Meter
from tests.lanes import examples


def send_all(meter: Meter, until: float, weight: float = 1.0) -> list[float]:
    """Send as soon as the meter lets one, as a queue that never runs dry."""
    now, sent = 0.0, []
    while now < until:
        ready = meter.ready_at(now, weight)
        if ready > now:
            now = ready
            continue
        meter.take(now, weight, late=True)
        sent.append(now)
    return [at for at in sent if at < until]


@given(
    limit=st.integers(1, 300),
    gaps=st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 60)), min_size=1, max_size=60),
)
@settings(max_examples=examples(60))
def test_no_window_of_sixty_seconds_ever_holds_more_than_the_limit(limit: int, gaps: list[tuple[float, int]]) -> None:
    meter, now, sent = Meter(limit, 0.0), 0.0, []
    for gap, asked in gaps:
        now += gap
        for _ in range(asked):
            if meter.ready_at(now, 1) <= now:
                meter.take(now, 1, late=True)
                sent.append(now)
    for start in sent:
        assert sum(start <= at < start + SPAN for at in sent) <= limit


def test_a_full_queue_uses_over_99_percent_of_the_limit() -> None:
    sent = send_all(Meter(600, 0.0), 600.0)
    assert len(sent) >= 0.99 * 6000


def test_requests_leave_one_by_one_not_in_a_burst() -> None:
    sent = send_all(Meter(600, 0.0), 120.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert min(gaps) > 0.09


def test_an_idle_gate_saves_nothing_up_for_a_burst() -> None:
    meter = Meter(600, 0.0)
    meter.take(100.0, 1, late=False)
    assert meter.ready_at(100.0, 1) == pytest.approx(100.1005)


def test_a_late_wake_up_is_made_good_for() -> None:
    meter = Meter(600, 0.0)
    meter.take(0.0, 1, late=False)
    meter.take(0.25, 1, late=True)  # due at 0.1
    assert meter.ready_at(0.25, 1) <= 0.25


def test_a_longer_stall_is_made_good_for_at_five_percent_more_speed() -> None:
    meter = Meter(600, 0.0)
    meter.take(0.0, 1, late=False)
    meter.take(1.5, 1, late=True)
    meter.take(1.5, 1, late=True)
    meter.take(1.5, 1, late=True)
    meter.take(meter.ready_at(1.5, 1), 1, late=True)
    assert meter.ready_at(0.0, 1) - 1.5 < 4 * 0.1005


def test_without_a_limit_it_only_counts() -> None:
    meter = Meter(math.inf, 0.0)
    for _ in range(1000):
        assert meter.ready_at(5.0, 1) <= 5.0
        meter.take(5.0, 1, late=False)
    assert meter.used(5.0) == 1000
    assert meter.used(5.0 + SPAN + 0.2) == 0


def test_a_settlement_frees_room_only_as_long_as_its_entry_is_in_the_window() -> None:
    meter = EstimateMeter(1000, 0.0)
    entry = meter.take(0.0, 900, late=False)
    meter.settle(entry, 900, 300)
    assert meter.used(1.0) == 300
    assert meter.used(61.0) == 0
    meter.settle(entry, 0, 500)
    assert meter.used(61.0) == 0


def test_room_is_kept_for_estimates_that_turn_out_too_low() -> None:
    meter = EstimateMeter(100_000, 0.0)
    now = 0.0
    for _ in range(200):
        now = max(now, meter.ready_at(now, 100))
        meter.settle(meter.take(now, 100, late=True), 100, 110)
    in_flight = 0.0
    while meter.fits_window(100):
        meter.take(now, 100, late=True)
        in_flight += 100
    assert meter.used(now) + 0.1 * in_flight <= 100_000


def test_a_request_as_large_as_the_limit_passes_when_the_window_is_empty() -> None:
    meter = EstimateMeter(1000, 0.0)
    assert meter.ready_at(0.0, 1000) <= 0.0
    meter.take(0.0, 1000, late=False)
    assert meter.ready_at(1.0, 1) > 60.0


def test_what_was_not_sent_leaves_no_trace() -> None:
    meter = EstimateMeter(1000, 0.0)
    meter.give_back(meter.take(0.0, 900, late=False), 900)
    assert meter.used(0.0) == 0
    assert meter.ready_at(0.0, 1000) <= 0.0
