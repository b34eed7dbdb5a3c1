"""States of a run as points of its timeline, and how long the rest takes at their rate."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from parquill.clock import Clock
from parquill.event_loop import meanwhile
from parquill.observers import Watched
from parquill.run_state import RunState
from parquill.timeline import TimelineSample


class Pace:
    """How long the rest takes, at the rate since the first row was done."""

    def __init__(self) -> None:
        self._first_done: tuple[float, int] | None = None

    def left(self, state: RunState) -> float | None:
        """Return seconds until all rows are done; None as long as that is unknown."""
        rows = state.progress.rows
        fresh = rows.fresh
        if self._first_done is None and fresh > 0:
            self._first_done = (state.seconds, fresh)
        if self._first_done is None or fresh <= self._first_done[1]:
            return None
        pace = (fresh - self._first_done[1]) / (state.seconds - self._first_done[0])
        return (rows.total - state.done) / pace


def sample_of(state: RunState, *, tokens: int, limit: int | None) -> TimelineSample:
    """Return a state as a point of the timeline; `limit` is how many may be in flight."""
    holding = state.holding
    return TimelineSample(
        t=state.seconds,
        rows=state.done,
        cost_pico=state.spent_pico,
        tokens=tokens,
        in_flight=state.in_flight,
        limit=limit,
        binds=holding.name if holding else None,
    )


@contextlib.asynccontextmanager
async def sampling(watch: Watched, clock: Clock) -> AsyncIterator[None]:
    """Sample the state once a second for the timeline, also without another observer."""

    async def look() -> None:
        while True:
            watch.state()
            await clock.sleep(1.0)

    async with meanwhile(look()):
        yield
