"""One timer for all requests that are under way, in place of one for each."""

from __future__ import annotations

import math
from typing import Protocol

from parquill.clock import Clock, Timer


class Cuttable(Protocol):
    """What is cut off when its time is over."""

    def cut(self) -> None:
        """End it: its waiter is woken with a time-out."""


class Deadlines:
    """Cuts off what is still under way at its time; nearly all of it ends long before.

    The timer stands at the earliest time that was ever asked for since it last ran. It looks
    through all that is under way when it runs: some hundreds of requests, once in many seconds.
    """

    __slots__ = ("_clock", "_due", "_next", "_timer")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[Cuttable, float] = {}
        self._next = math.inf
        self._timer: Timer | None = None

    def add(self, one: Cuttable, when: float) -> None:
        """Cut `one` off at `when` (the clock's monotonic seconds), unless it is taken out before."""
        self._due[one] = when
        if when < self._next:
            self._set(when)

    def take_out(self, one: Cuttable) -> None:
        """It has ended; harmless when it was cut off."""
        self._due.pop(one, None)

    def close(self) -> None:
        """Cut nothing off any more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        self._timer = self._clock.call_later(max(0.0, when - self._clock.monotonic()), self._on_time)

    def _on_time(self) -> None:
        self._timer, self._next = None, math.inf
        now = self._clock.monotonic()
        for one in [one for one, when in self._due.items() if when <= now]:
            del self._due[one]
            one.cut()
        if self._due:
            self._set(min(self._due.values()))
