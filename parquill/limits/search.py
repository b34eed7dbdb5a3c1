"""Finding a limit that nobody told, by a bracket: what was clean, what was refused, between them.

Multiplying and dividing (AIMD) meets the limit again and again: measured on servers with 40 and
200 slots it drew 2.5 to 4.6 % of 429s, a bracket search 0.2 %. A bracket is narrowed to 2 %, the
clean end is kept, and the next value is tried rarely; so a limit once found costs next to
nothing. When the truth has moved, the clean end is refused (cuts grow from 3 % to a half) or
the refused end is clean (steps grow likewise).

`RateSearch` looks for requests per minute and needs 65 s at a value to call it clean: a whole
window of the server's. `SlotSearch` looks for requests in flight and needs two rounds; where
nothing is ever refused it grows only while more in flight gets more answers in a second.
"""

from __future__ import annotations

import math
from enum import Enum

TOLERANCE = 1.02
CHECK = 65.0
"""Seconds at a rate before it is clean: a minute and what the network adds."""
USED = 0.85
"""Share of a rate that must be sent before a quiet time says anything about it."""
FIRST_PROBE = 300.0
LAST_PROBE = 1800.0
SMALL_CUT = 0.03
FIRST_CUT = 0.2
LARGEST_CUT = 0.5
FIRST_STEP = 0.04
LARGEST_STEP = 0.5

ROUND = 48
"""Replies that make a round at the least: fewer are too noisy to compare."""
GAIN = 0.2
"""Share of the growth that must show in answers a second: twice as many in flight, a fifth more."""
FIRST_REGROW = 60.0
LAST_REGROW = 600.0


class Stage(Enum):
    """What a search is doing."""

    FREE = "free"  # nothing was ever refused
    CHECK = "check"  # is this value clean?
    PROBE = "probe"  # is a value just above the found one clean?
    HOLD = "hold"  # found


class RateSearch:
    """Requests per minute; infinite until a refusal speaks of a rate, never above `ceiling`."""

    __slots__ = ("_cut", "_high", "_interval", "_low", "_since", "_step", "ceiling", "stage", "value")

    def __init__(self, ceiling: float, now: float) -> None:
        self.ceiling = ceiling
        self.value = ceiling
        self.stage = Stage.FREE
        self._low = 0.0
        self._high = math.inf
        self._cut = FIRST_CUT
        self._step = FIRST_STEP
        self._interval = FIRST_PROBE
        self._since = now

    @property
    def found(self) -> bool:
        """Whether a refused rate has been answered by a clean one."""
        return self._low > 0.0 and self._high < math.inf

    def refused(self, now: float, attempted: float, counted: float | None) -> None:
        """Cut: `attempted` per minute was too much, `counted` went through in the server's minute.

        `counted` is None where the server's window is not a minute.
        """
        self._since = now
        if self.stage is Stage.PROBE and attempted > self._low:
            self._high = attempted
            self._interval = min(LAST_PROBE, self._interval * 2)
            self._hold()
            return
        self._high = attempted
        self.stage = Stage.CHECK
        if counted is not None and 0.2 * attempted < counted * 0.985 < attempted:
            self.value = counted * 0.985
            self._low = min(self._low, 0.95 * self.value)
        elif self._low * TOLERANCE < attempted and self._low > 0.5 * attempted:
            self.value = (self._low + attempted) / 2
        else:
            self.value = attempted * (1 - self._cut)
            self._low = 0.0
            self._cut = min(LARGEST_CUT, self._cut * 2)
        self.value = max(1.0, self.value)

    def quiet(self, now: float, sent: float) -> None:
        """Look at the time since the last change: `sent` in the last minute, none refused."""
        wanted = self._interval if self.stage is Stage.HOLD else CHECK
        if self.stage is Stage.FREE or now - self._since < wanted or sent < USED * self.value:
            return
        self._since = now
        if self.stage is Stage.HOLD:
            if self.value < self.ceiling:
                self.value = min(self.ceiling, self._low * TOLERANCE)
                self.stage = Stage.PROBE
            return
        if self.stage is Stage.PROBE:
            self._high = math.inf
        self._low = self.value
        self._cut = SMALL_CUT
        self._next()

    def _next(self) -> None:
        if self._high == math.inf:
            self.value = min(self.ceiling, self._low * (1 + self._step))
            self._step = min(LARGEST_STEP, self._step * 2)
            self.stage = Stage.CHECK if self.value > self._low else Stage.HOLD
        elif self._high <= self._low * TOLERANCE:
            self._hold()
        else:
            self.value = (self._low + self._high) / 2
            self.stage = Stage.CHECK

    def _hold(self) -> None:
        self.value = self._low
        self._step = FIRST_STEP
        self.stage = Stage.HOLD


class SlotSearch:
    """Requests in flight: from `start`, never above `ceiling`."""

    __slots__ = (
        "_base",
        "_clean_rounds",
        "_counted",
        "_cut",
        "_doubtful",
        "_high",
        "_interval",
        "_low",
        "_regrow_at",
        "_since",
        "_target",
        "ceiling",
        "stage",
        "value",
    )

    def __init__(self, start: int, ceiling: int, now: float) -> None:
        self.ceiling = ceiling
        self.value = min(start, ceiling)
        self.stage = Stage.FREE if self.value < ceiling else Stage.HOLD
        self._low = 1
        self._high = ceiling + 1
        self._target = self.value
        self._base = 0.0
        self._doubtful = False
        self._clean_rounds = 0
        self._cut = SMALL_CUT
        self._interval = FIRST_REGROW
        self._regrow_at = now + FIRST_REGROW
        self._begin(now)

    @property
    def found(self) -> bool:
        """Whether a refused number has been answered by a clean one."""
        return self._high <= self.ceiling and self.stage is not Stage.FREE and self._low > 1

    def answered(self, now: float, sent_at: float) -> None:
        """Count an answer that came while rows were waiting for a slot."""
        if self.value < self._target:
            self.value += 1
            if self.value == self._target:
                self._begin(now)
        elif sent_at >= self._since:
            self._counted += 1
            if self._counted >= max(self.value, ROUND):
                self._round(now)

    def refused(self, now: float, level: int, accepted: int) -> None:
        """Cut: with `level` in flight the server refused, with `accepted` it took one again."""
        self._begin(now)
        self._clean_rounds = 0
        self._base = 0.0
        level = min(level, self.value)
        probing, self.stage = self.stage is Stage.PROBE, Stage.CHECK
        if probing:
            self._interval = min(LAST_REGROW, self._interval * 2)
        if self._low >= level:
            self._low = max(1, min(accepted, level - 1))
            self._cut = min(LARGEST_CUT, self._cut * 2) if not probing else self._cut
        self._high = max(2, level)
        self.value = max(self._low, min(self._high - 1, math.ceil(level * (1 - self._cut))))
        self._target = self.value

    def restore(self, value: int, now: float) -> None:
        """Forget the refusals: they spoke of a rate. Grow on from `value`."""
        self.value = self._target = min(value, self.ceiling)
        self._low = 1
        self._high = self.ceiling + 1
        self._base = 0.0
        self._cut = SMALL_CUT
        self._clean_rounds = 0
        self.stage = Stage.FREE if self.value < self.ceiling else Stage.HOLD
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._since = now
        self._counted = 0

    def _round(self, now: float) -> None:
        goodput = self._counted / max(now - self._since, 1e-9)
        self._begin(now)
        if self.stage is Stage.FREE:
            self._grown(now, goodput)
        elif self.stage is Stage.HOLD:
            self._regrow(now, goodput)
        else:
            self._clean_rounds += 1
            if self._clean_rounds >= 2:
                self._clean(now)

    def _grown(self, now: float, goodput: float) -> None:
        if goodput >= self._base * (1 + GAIN * (self.value / self._low - 1)):
            self._low = self.value
            self._base = goodput
            self._doubtful = False
            self._target = min(self.value * 2, self._high - 1)
            if self._target == self.value:
                self._hold(now)
        elif not self._doubtful:
            self._doubtful = True
        else:
            self._interval = min(LAST_REGROW, self._interval * 2)
            self._hold(now)

    def _regrow(self, now: float, goodput: float) -> None:
        if now < self._regrow_at or self.value >= self.ceiling:
            return
        if self._high <= self.ceiling:
            self.value = self._target = self._low + max(1, self._low // 50)
            self.stage = Stage.PROBE
        else:
            self._base = goodput
            self._doubtful = False
            self._target = min(self.value * 2, self.ceiling)
            self.stage = Stage.FREE

    def _clean(self, now: float) -> None:
        self._clean_rounds = 0
        self._cut = SMALL_CUT
        self._low = self.value
        if self.stage is Stage.PROBE:
            self._high = self.ceiling + 1
            self._base = 0.0
            self._target = min(self.value * 2, self.ceiling)
            self.stage = Stage.FREE
        elif self._high - self._low <= max(1, self._low // 50):
            self._hold(now)
        else:
            self.value = self._target = (self._low + self._high) // 2

    def _hold(self, now: float) -> None:
        self.value = self._target = self._low
        self._regrow_at = now + self._interval
        self.stage = Stage.HOLD
