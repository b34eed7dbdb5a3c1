"""Finding a limit that nobody told, by a bracket: what was clean, what was refused, between them.

Multiplying and dividing (AIMD) meets the limit again and again: measured on servers with 40 and
200 slots it drew 2.5 to 4.6 % of 429s, a bracket search 0.2 %. A bracket is narrowed to 2 %, the
clean end is kept, and the next value is tried rarely; so a limit once found costs next to
nothing. When the truth has moved, the clean end is refused (cuts grow from 3 % to a half) or
the refused end is clean (steps grow likewise).

`RateSearch` looks for requests per minute and needs 65 s at a value to call it clean: a whole
window of the server's. `SlotSearch` looks for requests in flight and needs two turnovers;
where nothing is ever refused it grows only while more in flight gets more answers a second.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

TOLERANCE = 1.02
CHECK = 65.0
"""Seconds at a rate before it is clean: a minute and what the network adds."""
COARSE = 1.1
COARSE_CHECK = 25.0
"""It may be less far from the limit, where the server does not count by the minute."""
MARGIN = 0.985
"""What is tried of a count that may be off by what is under way."""
USED = 0.85
"""Share of a rate that must be sent before a quiet time says anything about it."""
FIRST_PROBE = 60.0
PROBE_BY_MINUTE = 3.0
LAST_PROBE = 600.0
"""Seconds between tries of a higher rate: each that fails doubles them, from 60 up. A server that
counts by the minute shuts the gate for the rest of one, so there it starts at three times that."""
SMALL_CUT = 0.03
FIRST_CUT = 0.2
LARGEST_CUT = 0.5
FIRST_STEP = 0.04
PROBE_STEP = 0.1
PROBE_STEP_BY_MINUTE = 0.25
"""Upward: small after a guess, larger where a higher rate was clean; each step doubles the next.
Where the server counts by the minute a step too far tells the limit to the request."""
LARGEST_STEP = 0.5
ODD = 0.1
BELOW = 0.97
ODD_ENOUGH = 3
ODD_FOR = 120.0
"""A limit on what is in flight refuses at one number and never below. A refusal more than a tenth
from the last one counts twice, one below it once; three within 120 s speak of another kind."""

FEWEST = 16
"""Answers that make a round at the least: fewer are too noisy to compare."""
CLEAN_ROUNDS = 2
GAIN = 1.2
"""What a turnover with twice as many in flight must gain in answers a second."""
DEEPEST = 4
"""One refusal takes at most three quarters: what is in flight at the start says little."""
FIRST_REGROW = 15.0
LAST_REGROW = 600.0


class Stage(Enum):
    """What a search is doing."""

    FREE = "free"  # nothing was ever refused
    CHECK = "check"  # is this value clean?
    PROBE = "probe"  # is a value just above the found one clean?
    HOLD = "hold"  # found


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
        self._cut = FIRST_CUT
        self._step = FIRST_STEP
        self._interval = FIRST_PROBE
        self._by_minute = False
        self._since = now
        self._mark = 0

    def refused(self, now: float, sent: int, attempted: float, counted: float | None, floor: float = 0.0) -> None:
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
        paced, self.stage = self.stage is not Stage.FREE, Stage.CHECK
        # What got through unpaced in bursts says little of what an even flow may reach.
        self._high = attempted if paced else math.inf
        if counted is not None and counted * MARGIN < attempted:
            self._count(attempted, counted)
        elif self._low * TOLERANCE < attempted and self._low > 0.5 * attempted:
            self.value = (self._low + attempted) / 2
        else:
            self.value = attempted * (1 - self._cut)
            self._low = 0.0
            self._cut = min(LARGEST_CUT, self._cut * 2)
            self._step = FIRST_STEP if self._high == math.inf else LARGEST_STEP
        self.value = max(1.0, floor, self.value)

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

    def _count(self, attempted: float, counted: float) -> None:
        """Start from what went through in a minute; after a minute of this pace it is exact."""
        if not self._by_minute:
            self._by_minute = True
            self._interval *= PROBE_BY_MINUTE
        if counted > 0.5 * attempted:
            self._high = min(attempted, counted * 1.005)
        self.value = counted * MARGIN
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


class SlotSearch:
    """Requests in flight: from `start`, never above `ceiling`.

    Free, it grows by one with each answer, so by as much again in each turnover, and compares the
    answers a second of one turnover with those of the last that gained. Two without a gain mean
    that the endpoint (or this machine) has enough; later it is tried again.
    """

    __slots__ = (
        "_base",
        "_cut",
        "_high",
        "_interval",
        "_kept",
        "_last",
        "_left",
        "_low",
        "_odd",
        "_regrow_at",
        "_round_size",
        "_rounds",
        "_since",
        "ceiling",
        "refusals",
        "stage",
        "value",
    )

    def __init__(self, start: int, ceiling: int, now: float) -> None:
        self.ceiling = ceiling
        self._interval = FIRST_REGROW
        self._regrow_at = now
        self.stage = Stage.FREE
        self.restore(start, now)

    def doubtful(self, now: float) -> bool:
        """Whether refusals came at numbers too different for a limit on what is in flight."""
        return len(self._odd) == ODD_ENOUGH and now - self._odd[0] < ODD_FOR

    def restore(self, value: int, now: float) -> None:
        """Forget all refusals, and grow on from `value`."""
        self.value = self._kept = min(value, self.ceiling)
        self._low = 1
        self._high = self.ceiling + 1
        self._cut = SMALL_CUT
        self._odd: deque[float] = deque(maxlen=ODD_ENOUGH)
        self._last = 0
        self.refusals = 0
        self._free(now, 0.0)

    def answered(self, now: float, sent_at: float, *, waiting: bool) -> None:
        """Count an answer; `waiting` when more rows would be in flight if they might."""
        if self.stage is Stage.FREE or self.stage is Stage.HOLD:
            if not waiting:
                self._begin(now)
                return
            if self.stage is Stage.FREE and self.value < self.ceiling:
                self.value += 1
        elif not waiting or sent_at < self._since:
            return
        self._left -= 1
        if self._left <= 0:
            self._round(now)

    def refused(self, now: float, level: int, accepted: int) -> None:
        """Cut: with `level` in flight the server refused, with `accepted` it took one again."""
        level = max(2, min(max(level, self.value // DEEPEST), self.value))
        self.refusals += 1
        self._compare(now, level)
        if self.stage is Stage.PROBE:
            self._interval = min(LAST_REGROW, self._interval * 2)
        elif self._low >= level:
            self._cut = min(LARGEST_CUT, self._cut * 2)
        self.stage = Stage.CHECK
        if self._low >= level:
            self._low = max(1, min(accepted, level - 1))
        self._high = level
        self.value = max(self._low, min(level - 1, math.ceil(level * (1 - self._cut))))
        self._rounds = 0
        self._begin(now)

    def _compare(self, now: float, level: int) -> None:
        """Note what does not fit a limit on what is in flight: it refuses at one number, and not below."""
        if self._last and abs(level - self._last) > max(2.0, ODD * self._last):
            self._odd.extend((now, now))
        elif self.value < BELOW * self._last:
            self._odd.append(now)
        self._last = level

    def _begin(self, now: float) -> None:
        self._since = now
        self._left = self._round_size = max(self.value, FEWEST)

    def _free(self, now: float, base: float) -> None:
        self.stage = Stage.FREE if self.value < self.ceiling else Stage.HOLD
        self._base = base
        self._rounds = 0
        self._begin(now)

    def _round(self, now: float) -> None:
        goodput = self._round_size / max(now - self._since, 1e-9)
        if self.stage is Stage.FREE:
            self._grown(now, goodput)
        elif self.stage is Stage.HOLD:
            self._regrow(now, goodput)
        else:
            self._rounds += 1
            if self._rounds >= CLEAN_ROUNDS:
                self._clean(now)
        self._begin(now)

    def _grown(self, now: float, goodput: float) -> None:
        if goodput >= self._base * GAIN:
            self._low = min(self._round_size, self.value)
            self._kept = self.value
            self._base = goodput
            self._rounds = 0
            if self.value == self.ceiling:
                self._hold(now, self.value)
            return
        self._rounds += 1
        if self._rounds >= CLEAN_ROUNDS:
            self._interval = min(LAST_REGROW, self._interval * 2)
            self._hold(now, self._kept)

    def _regrow(self, now: float, goodput: float) -> None:
        if now < self._regrow_at or self.value >= self.ceiling:
            return
        if self._high <= self.ceiling:
            self.value = self._low + max(1, self._low // 50)
            self._rounds = 0
            self.stage = Stage.PROBE
        else:
            self._kept = self.value
            self._free(now, goodput)

    def _clean(self, now: float) -> None:
        self._rounds = 0
        self._cut = SMALL_CUT
        self._low = self._kept = self.value
        if self.stage is Stage.PROBE:
            self._high = self.ceiling + 1
            self._free(now, 0.0)
        elif self._high - self._low <= max(1, self._low // 50):
            self._hold(now, self._low)
        else:
            self.value = (self._low + self._high) // 2

    def _hold(self, now: float, value: int) -> None:
        self.value = value
        self._regrow_at = now + self._interval
        self.stage = Stage.HOLD
