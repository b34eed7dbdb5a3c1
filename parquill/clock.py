"""Time as an argument: the clock that modules get which pace, wait or date things.

Pacing uses `monotonic` only; `wall` (unix seconds) serves resets and days that servers name
by date. Tests hand in a clock that is turned by hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A callback that is due later."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it has run."""


class Clock(Protocol):
    """Where time comes from."""

    def monotonic(self) -> float:
        """Seconds that never jump, from an arbitrary start."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` once, `seconds` from now, in the running event loop."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The machine's clock and the running event loop's timers."""

    monotonic = staticmethod(
        time.monotonic
    )  # without a frame of Python: the gate and the client ask ten times a request
    wall = staticmethod(time.time)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running event loop's timer after `seconds`."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller for `seconds`."""
        await asyncio.sleep(seconds)
