"""Searches for the highest rate: requests per minute."""

from __future__ import annotations

import math

from parquill.limits.search_stage import LARGEST_CUT, SMALL_CUT, Stage

TOLERANCE = 1.02
CHECK = 65.0
"""Seconds at a rate before it is clean: a minute and what the network adds."""
COARSE = 1.1
COARSE_CHECK = 25.0
"""It may be less far from the limit, where the server does not count by the minute."""
TELLING = 30
"""Requests that went through before a first refusal that say something about a minute's limit."""
MARGIN = 0.986
"""What is tried of a count that may be off by what is under way."""
USED = 0.85
"""Share of a rate that must be sent before a quiet time says anything about it."""
FIRST_PROBE = 60.0
PROBE_BY_MINUTE = 3.0
LAST_PROBE = 600.0
"""Seconds between tries of a higher rate: each that fails doubles them, from 60 up. A server that
counts by the minute shuts the gate for the rest of one, so there it starts at three times that."""
FIRST_CUT = 0.2
FIRST_STEP = 0.04
PROBE_STEP = 0.1
PROBE_STEP_BY_MINUTE = 0.25
"""Upward: small after a guess, larger where a higher rate was clean; each step doubles the next.
Where the server counts by the minute a step too far tells the limit to the request."""
LARGEST_STEP = 0.5


class RateSearch:
    """Requests per minute; infinite until a refusal speaks of a rate, never above `ceiling`."""

    __slots__ = (
        "_by_minute",
        "_cut",
        "_high",
        "_interval",
        "_low",
        "_mark",
        "_since",
        "_step",
        "ceiling",
        "stage",
        "value",
    )

    def __init__(self, ceiling: float, now: float) -> None:
        self.ceiling = ceiling
        self.stage = Stage.FREE
        self.forget(now)

    def forget(self, now: float) -> None:
        """Take back all cuts: what was refused was not because of the rate."""
        self.value = self.ceiling
        self.stage = Stage.FREE
        self._low = 0.0
        self._high = math.inf
        self._cut = FIRST_CUT if self.ceiling == math.inf else SMALL_CUT
        self._step = FIRST_STEP
        self._interval = FIRST_PROBE
        self._by_minute = False
        self._since = now

    def refused(self, now: float, sent: int, attempted: float, counted: float | None, *, floor: float) -> None:
        """Cut: `attempted` per minute was too much, `counted` went through in the server's minute.

        `counted` is None where the server's window is not a minute; `sent` is the number of
        requests sent so far; nothing is cut below `floor`.
        """
        self._since, self._mark = now, sent
        if self.stage is Stage.PROBE and attempted > self._low:
            self._high = attempted
            self._interval = min(LAST_PROBE, self._interval * 2)
            self._hold()
            return
        if self.stage is Stage.CHECK and self._high == math.inf:
            self._interval = min(LAST_PROBE, self._interval * 2)
        paced, self.stage = self.value < math.inf, Stage.CHECK
        # What got through unpaced in bursts says little of what an even flow may reach.
        self._high = attempted if paced else math.inf
        if counted is not None and counted * MARGIN < attempted:
            self._count(attempted, counted, paced=paced)
        elif self._low * TOLERANCE < attempted and self._low > 0.5 * attempted:
            self.value = (self._low + attempted) / 2
        else:
            self.value = attempted * (1 - self._cut)
            self._low = 0.0
            self._cut = min(LARGEST_CUT, self._cut * 2)
            self._step = FIRST_STEP if self._high == math.inf else LARGEST_STEP
        self.value = max(1.0, min(floor, attempted * (1 - SMALL_CUT)), self.value)

    def quiet(self, now: float, sent: int) -> None:
        """Look at the time since the last change, with `sent` requests by now and none refused."""
        if self.stage is Stage.FREE or now - self._since < self._wanted():
            return
        used = (sent - self._mark) * 60.0 / (now - self._since)
        self._since, self._mark = now, sent
        if used < USED * self.value:
            return
        if self.stage is Stage.HOLD:
            if self.value < self.ceiling:
                self.value = min(self.ceiling, self._low * TOLERANCE)
                self.stage = Stage.PROBE
            return
        if self.stage is Stage.PROBE:
            self._high = math.inf
            self._step = PROBE_STEP_BY_MINUTE if self._by_minute else PROBE_STEP
        self._low = self.value
        self._cut = SMALL_CUT
        self._next()

    def _count(self, attempted: float, counted: float, *, paced: bool) -> None:
        """Start from what went through in a minute; after a minute of this pace it is exact."""
        if not self._by_minute:
            self._by_minute = True
            self._interval *= PROBE_BY_MINUTE
        if counted > 0.5 * attempted:
            self._high = min(attempted, counted * 1.005)
        # Of an uneven flow a small count may be cut short, and must not end at a crawl.
        least = 0.0 if paced or counted >= TELLING else attempted / 4
        self.value = max(least, counted * MARGIN)
        self._low = min(self._low, 0.95 * self.value)
        self._step = FIRST_STEP

    def _wanted(self) -> float:
        """Return for how many seconds this value must stay clean."""
        if self.stage is Stage.HOLD:
            return self._interval
        return CHECK if self._by_minute or self._high <= COARSE * self.value else COARSE_CHECK

    def _next(self) -> None:
        if self._high <= self._low * TOLERANCE or self._low >= self.ceiling:
            self._hold()
            return
        step = self._low * (1 + self._step)
        self._step = min(LARGEST_STEP, self._step * 2)
        middle = (self._low + self._high) / 2
        self.value = min(self.ceiling, step, middle)
        self.stage = Stage.CHECK

    def _hold(self) -> None:
        self.value = self._low
        self._step = FIRST_STEP
        self.stage = Stage.HOLD
