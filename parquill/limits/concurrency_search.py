"""Searches for the highest number of requests in flight."""

from __future__ import annotations

import math
from collections import deque

from parquill.limits.search_stage import LARGEST_CUT, SMALL_CUT, Stage

ODD = 0.1
BELOW = 0.97
ODD_ENOUGH = 3
ODD_FOR = 120.0
"""A limit on what is in flight refuses at one number and never below. A refusal more than a tenth
from the last one counts twice, one below it once; three within 120 s speak of another kind."""
PROVEN = 3
"""Refusals at one number after which another number is not odd, once: the limit has moved."""

FEWEST = 16
"""Answers that make a round at the least: fewer are too noisy to compare."""
CLEAN_ROUNDS = 2
GAIN = 1.2
"""What a turnover with twice as many in flight must gain in answers a second."""
CAREFUL = 4
"""Answers that bring one more slot where a limit was met before: a rush overshoots it by what a
round trip brings, and refusals far above and then at the limit look like those of a rate."""
DEEPEST = 4
"""One refusal takes at most three quarters: what is in flight at the start says little."""
FIRST_REGROW = 15.0
LAST_REGROW = 600.0
AFTER_OUTAGE = 120.0
"""Seconds after an outage in which the search does not go on."""
FAR = 1.25
"""Seconds until more is tried again: doubling, unless the last try got a quarter further."""


class ConcurrencySearch:
    """Requests in flight: from `start`, never above `ceiling`.

    Free, it grows by one with each answer, so by as much again in each turnover (a quarter of that
    once a limit was met), and compares the answers a second of one turnover with those of the last
    that gained. Two without a gain mean
    that the endpoint (or this machine) has enough; later it is tried again.
    """

    __slots__ = (
        "_answers",
        "_base",
        "_cut",
        "_fitting",
        "_found",
        "_high",
        "_interval",
        "_kept",
        "_last",
        "_left",
        "_low",
        "_odd",
        "_regrow_at",
        "_resume_at",
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
        self._answers = 0
        self._interval = FIRST_REGROW
        self._regrow_at = self._resume_at = now
        self.stage = Stage.FREE
        self.restore(start, now)

    def doubtful(self, now: float) -> bool:
        """Whether refusals came at numbers too different for a limit on what is in flight."""
        return len(self._odd) == ODD_ENOUGH and now - self._odd[0] < ODD_FOR

    def restore(self, value: int, now: float) -> None:
        """Forget all refusals, and grow on from `value`."""
        self.value = self._kept = min(value, self.ceiling)
        self._low = 1
        self._found = self.ceiling
        self._high = self.ceiling + 1
        self._cut = SMALL_CUT
        self._odd: deque[float] = deque(maxlen=ODD_ENOUGH)
        self._last = 0
        self._fitting = 0
        self.refusals = 0
        self._free(now, 0.0)

    def answered(self, now: float, sent_at: float, *, waiting: bool) -> None:
        """Count an answer; `waiting` when more rows would be in flight if they might."""
        if now < self._resume_at:
            self._begin(now)
            return
        if self.stage is Stage.FREE or self.stage is Stage.HOLD:
            if not waiting:
                self._begin(now)
                return
            if self.stage is Stage.FREE and self.value < self.ceiling:
                self._grow()
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
        if self.stage is Stage.PROBE or (self.stage is Stage.FREE and self.refusals > 1):
            far = level > FAR * self._found
            self._interval = FIRST_REGROW if far else min(LAST_REGROW, self._interval * 2)
        elif self._low >= level:
            self._cut = min(LARGEST_CUT, self._cut * 2)
        self.stage = Stage.CHECK
        if self._low >= level:
            self._low = max(1, min(accepted, level - 1))
        self._high = level
        self.value = max(self._low, min(level - 1, math.ceil(level * (1 - self._cut))))
        self._rounds = 0
        self._resume_at = now
        self._begin(now)

    def hold(self, now: float, value: int) -> None:
        """Stay at what was found before an outage: answers in it, and on the ramp after it, measure nothing.

        `value`: what it was then. A search that was broken off goes on after two minutes, from there.
        """
        self.value = min(self.value, value)
        if self.stage is Stage.FREE:
            self._hold(now, self.value)
        self._regrow_at = max(self._regrow_at, now + AFTER_OUTAGE)
        self._resume_at = now + AFTER_OUTAGE
        self._begin(now)

    def _grow(self) -> None:
        if self.refusals:
            self._answers += 1
            if self._answers % CAREFUL:
                return
        self.value += 1

    def _compare(self, now: float, level: int) -> None:
        """Note what does not fit a limit on what is in flight: it refuses at one number, and not below."""
        if self._last and abs(level - self._last) > max(2.0, ODD * self._last):
            if self._fitting < PROVEN:
                self._odd.extend((now, now))
            self._fitting = 0
        elif self.value < BELOW * self._last:
            self._odd.append(now)
        else:
            self._fitting += 1
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
            self._found = self._low
            self._hold(now, self._low)
        else:
            self.value = (self._low + self._high) // 2

    def _hold(self, now: float, value: int) -> None:
        self.value = value
        self._regrow_at = now + self._interval
        self.stage = Stage.HOLD
