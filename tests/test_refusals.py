"""Whose fault a refusal is: random sequences of answers and refusals in simulated time."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.asking.refusals import FIRST, Refusal, Refusals
from parquill.errors import ErrorKind
from tests.clock import ManualClock


def refusal(message: str = "not for you", status: int = 403, sent_at: float = 0.0) -> Refusal:
    return Refusal(ErrorKind.REFUSED, status, message, message, sent_at)


@dataclass
class Endpoint:
    """Rows sent with so many in flight; `refuses(row, now)` says which of them it refuses."""

    in_flight: int
    rows: int
    seed: int
    refusing: float
    """Seconds a refusal takes; an answer takes about 1 s."""
    dead_from: float
    share: float
    stops: list[str] = field(default_factory=list)
    sent: int = 0
    refused: int = 0

    def run(self) -> Endpoint:
        clock, rng = ManualClock(), random.Random(self.seed)
        refusals = Refusals("http://here", clock, self.stops.append)
        events: list[tuple[float, int, bool, float]] = []
        while (self.sent < self.rows or events) and not self.stops:
            while self.sent < self.rows and len(events) < self.in_flight and refusals._in_doubt is None:
                refused = clock.monotonic() >= self.dead_from or rng.random() < self.share
                takes = self.refusing * rng.uniform(0.7, 1.3) if refused else rng.lognormvariate(0, 0.5)
                refusals.sent((1, self.sent))
                heapq.heappush(events, (clock.monotonic() + takes, self.sent, refused, clock.monotonic()))
                self.sent += 1
            clock._now, row, refused, sent_at = heapq.heappop(events)
            refusals.ended((1, row), answered=not refused)
            if refused:
                self.refused += 1
                refusals.judge((1, row), refusal(f"not for you, request {row}", sent_at=sent_at), None)
        return self


@given(st.integers(1, 64), st.integers(0, 10**6), st.floats(0.001, 2.0), st.floats(0.0, 0.25))
def test_rows_that_are_refused_among_others_that_are_answered_never_stop_the_run(
    in_flight: int, seed: int, refusing: float, share: float
) -> None:
    """Ten in a row of one in four is one in a million by chance alone."""
    assert not Endpoint(in_flight, 300, seed, refusing, math.inf, share).run().stops


@given(st.integers(1, 64), st.integers(0, 10**6), st.floats(0.001, 2.0), st.floats(0.0, 20.0))
def test_an_endpoint_that_refuses_everything_from_some_time_on_stops_the_run_soon(
    in_flight: int, seed: int, refusing: float, dead_from: float
) -> None:
    world = Endpoint(in_flight, 100_000, seed, refusing, dead_from, 0.0).run()
    assert "not for you" in world.stops[0]
    assert world.refused <= FIRST + 2 * in_flight


def test_refusals_of_different_kinds_are_not_added_up() -> None:
    clock, stops = ManualClock(), list[str]()
    refusals = Refusals("http://here", clock, stops.append)
    for number in range(2 * (FIRST - 1)):
        refusals.judge((1, number), refusal("one thing" if number % 2 else "quite another"), None)
    assert not stops


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ray ID: 8f3a2b1c9d is blocked", "Ray ID: 77aa00bb12 is blocked"),
        ("model 'a/b' is not here", "model 'c d' is not here"),
        ("see https://host/a?b=1 for more", "see https://host/c?d=2 for more"),
        ("too many: 17 of 4", "too many: 18 of 4"),
    ],
)
def test_refusals_are_alike_whatever_numbers_ids_and_quoted_values_they_name(one: str, other: str) -> None:
    assert refusal(one).likeness == refusal(other).likeness
    assert refusal(one).likeness != refusal(one, status=404).likeness


async def test_rows_wait_while_ten_refusals_are_in_doubt_and_go_on_with_the_first_answer() -> None:
    clock, stops = ManualClock(), list[str]()
    refusals = Refusals("http://here", clock, stops.append)
    refusals.sent((1, 99))
    for number in range(FIRST):
        await clock.advance(0.01)
        sent_at = clock.monotonic()
        refusals.sent((1, number))
        refusals.ended((1, number), answered=False)
        refusals.judge((1, number), refusal(sent_at=sent_at), None)
    assert not stops, "the first request of all is still under way"
    waiting = asyncio.ensure_future(refusals.clear())
    await clock.advance(1.0)
    assert not waiting.done()
    refusals.sent((1, 100))
    refusals.ended((1, 99), answered=True)
    assert not stops, "one that was sent after the refused ones is under way"
    refusals.ended((1, 100), answered=True)
    await waiting
    assert not stops
