"""A clock that is turned by hand, and jumps: no test sleeps.

Only its wall time jumps, as on a real machine: pacing uses monotonic time, which does not, and stands
still while a machine sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping

HOUR, DAY = 3600.0, 86_400.0

JUMPS: Mapping[str, tuple[float, ...]] = {
    "steady": (),
    "suspended": (8 * HOUR,),
    "set back": (-0.5, -30.0, -2 * HOUR),
    "set back and forth": (3 * HOUR, -3 * HOUR, 40.0, -40.0),
    "days astray": (-2 * DAY, 3 * DAY, DAY, -DAY),
}
"""What is done to the wall time (seconds, again and again) on machines that sleep or whose clocks are set.

Daylight saving is no such jump: unix time runs on, and only a zone's days have 23 or 25 hours.
"""
READINGS = 5
"""A clock that jumps does so each time that its wall time has been read so often."""


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """Stands still until `advance` turns it; timers then fire in order, each at its own time."""

    jumps: tuple[float, ...] = ()
    """Of every clock that is given none of its own: a fixture sets it for all tests of a module."""

    def __init__(
        self, monotonic: float = 0.0, wall: float = 1_790_000_000.0, *, jumps: tuple[float, ...] | None = None
    ) -> None:
        self._now = monotonic
        self._offset = wall - monotonic
        self._jumps = itertools.cycle(self.jumps if jumps is None else jumps)
        self._readings = 0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        self._readings += 1
        if self._readings % READINGS == 0:
            self._offset += next(self._jumps, 0.0)
        return self._now + self._offset

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: its wall time goes on, monotonic time and timers stand still."""
        self._offset += seconds

    def set_wall(self, wall: float) -> None:
        """A person or NTP sets the clock."""
        self._offset = wall - self._now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        await woken

    async def advance(self, seconds: float) -> None:
        """Turn the clock; tasks run as far as they can at each moment on the way."""
        end = self._now + seconds
        await settle()
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            if timer.callback is not None:
                timer.callback()
            await settle()
        self._now = end
        await settle()


async def settle(rounds: int = 20) -> None:
    """Let every task that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)
