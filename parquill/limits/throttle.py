"""What a throttled reply does: the whole gate pauses, one request tries the way, a ramp follows.

All refusals from the first one until a request goes through again are one episode, and cut the
limit once. When it ends it is known what kind of limit it was:

- what the server said (scope, a reset some seconds away: a rate);
- a lone request refused with few in flight, or a refusal with fewer in flight than was clean
  a moment ago: a rate;
- otherwise what was found before, and failing that the number in flight.

A server that lets requests through again only after some seconds counts by the minute: then
what went through before the refusal is its limit, and becomes the first guess.
"""

from __future__ import annotations

import math

from parquill.limits.search import RateSearch, SlotSearch, Stage
from parquill.limits.values import Scope
from parquill.limits.window import Meter

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""Seconds before the way is tried again when the server does not say: doubling, up to this."""
LONGEST_WAIT = 300.0
SLACK = 0.05
TRIAL = 1.0
"""Seconds after which a lone request that was not refused counts as let through."""
RAMP = 2.0
MINUTE_LIKE = 3.0
"""Seconds shut out from which on the server's window is taken to be a minute."""
RESET_LIKE = 5.0


class Throttle:
    """Pause, trial, ramp, and the two searches that a refusal moves."""

    __slots__ = (
        "_asked",
        "_attempted",
        "_counted",
        "_ended",
        "_first",
        "_full",
        "_latency",
        "_lone_level",
        "_lone_refused",
        "_mark",
        "_pause",
        "_ramp_from",
        "_refused",
        "_resumed",
        "_scope",
        "_sent",
        "_trial_level",
        "_trial_sent",
        "_undo",
        "pauses",
        "rates",
        "requests",
        "slots",
        "throttled",
        "until",
    )

    def __init__(self, requests: Meter, rates: RateSearch, slots: SlotSearch, now: float) -> None:
        self.requests = requests
        self.rates = rates
        self.slots = slots
        self.until: float | None = None
        self.pauses = 0
        self.throttled = 0
        self._pause = FIRST_PAUSE
        self._first = 0.0
        self._ended = -math.inf
        self._asked = 0.0
        self._scope = Scope.UNCLEAR
        self._refused = 0
        self._full = 0
        self._lone_refused = 0
        self._lone_level: int | None = None
        self._trial_sent: float | None = None
        self._trial_level = 0
        self._ramp_from: float | None = None
        self._resumed = now
        self._sent = 0
        self._mark = 0
        self._attempted = 0.0
        self._counted = 0.0
        self._latency = 0.0
        self._undo = 0

    def opens_at(self, now: float) -> float:
        """Return when one more request may leave as far as the pause is concerned."""
        if self.until is None:
            return now
        if self._trial_sent is None:
            return self.until
        if now >= self._trial_sent + TRIAL:
            self._end(now)
            return now
        return self._trial_sent + TRIAL

    def slots_at(self, now: float) -> int:
        """Return how many may be in flight at `now`: the limit in force, less while it ramps."""
        if self._ramp_from is None:
            return self.slots.value
        share = (now - self._ramp_from) / max(RAMP, self._latency)
        if share >= 1.0:
            self._ramp_from = None
            return self.slots.value
        return max(self._trial_level, math.ceil(self.slots.value * share))

    def ramp_step(self, now: float) -> float:
        """Return when the ramp will next allow more; infinite when there is none."""
        if self._ramp_from is None:
            return math.inf
        return now + max(RAMP, self._latency) / self.slots.value

    def sent(self, now: float, level: int) -> None:
        """Count a request that leaves with `level` in flight, itself included."""
        self._sent += 1
        if self.until is not None:
            self._trial_sent = now
            self._trial_level = level

    def unsent(self, sent_at: float) -> None:
        """Take back a request that did not leave after all."""
        self._sent -= 1
        if self._trial_sent == sent_at:
            self._trial_sent = None

    def answered(self, now: float, sent_at: float, *, waiting: bool) -> None:
        """Learn from an answer; `waiting` when rows wait for a slot in flight."""
        if self.until is None:
            self._latency += 0.02 * (now - sent_at - self._latency)
            self.slots.answered(now, sent_at, waiting=waiting)
            if self.rates.stage is not Stage.FREE:
                self._look(now)
        elif self._trial_sent is not None and sent_at >= self._trial_sent:
            self._end(now)

    def refused(self, now: float, sent_at: float, in_flight: int, wait: float | None, scope: Scope) -> None:
        """Pause, for `wait` seconds if the server said so; replies of an ended episode are stale.

        `in_flight` counts the refused request itself.
        """
        self.throttled += 1
        if self.until is None:
            if sent_at < self._ended:
                return
            self._start(now, in_flight)
        self._refused += 1
        if scope is not Scope.UNCLEAR:
            self._scope = scope
        if self._trial_sent is not None and sent_at >= self._trial_sent:
            self._lone_refused += 1
            self._lone_level = in_flight if self._lone_level is None else min(self._lone_level, in_flight)
            self._trial_sent = None
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
            self.until = now + self._pause
        if wait is not None and self.until is not None:
            wait = min(wait, LONGEST_WAIT)
            self._asked = max(self._asked, wait)
            self.until = max(self.until, now + wait + SLACK)

    def _look(self, now: float) -> None:
        before = self.rates.value
        self.rates.quiet(now, self._sent)
        if self.rates.value != before:
            self.requests.limit = self.rates.value

    def _start(self, now: float, in_flight: int) -> None:
        self.pauses += 1
        self._first = now
        self._pause = FIRST_PAUSE
        self.until = now + FIRST_PAUSE
        self._asked = 0.0
        self._scope = Scope.UNCLEAR
        self._refused = 0
        self._full = in_flight
        # Now, while it is remembered: a minute later the window has forgotten it.
        went = now - self._resumed
        seconds = min(5.0, max(1.0, went))
        self._attempted = 60.0 * max(1.0, self.requests.sent_within(now, seconds)) / seconds
        self._counted = float(self._sent - self._mark) if went < 60.0 else self.requests.used(now)
        self._lone_refused = 0
        self._lone_level = None
        self._trial_sent = None

    def _end(self, now: float) -> None:
        """Cut what was too high, and let the rest through on a ramp."""
        self.until = None
        if self._is_rate(now):
            self._cut_rate(now)
        else:
            self._cut_slots(now)
        self._ended = self._trial_sent if self._trial_sent is not None else now
        self._trial_sent = None
        self._ramp_from = now
        self._resumed = now
        self._mark = self._sent - 1

    def _is_rate(self, now: float) -> bool:
        if self._scope is not Scope.UNCLEAR:
            return self._scope is Scope.RATE
        if self._asked >= RESET_LIKE:
            return True
        if self._lone_level is not None and self._lone_level <= 0.4 * self._full:
            return True
        return self.rates.value < self.rates.ceiling or self.slots.doubtful(now)

    def _cut_rate(self, now: float) -> None:
        attempted = self.rates.value if self.rates.value < math.inf else self._attempted
        counted = None if max(self._asked, now - self._first) < MINUTE_LIKE else max(1.0, self._counted - self._refused)
        self.rates.refused(now, self._sent, attempted, counted)
        self.requests.limit = self.rates.value
        if self.slots.refusals:
            self.slots.restore(max(self.slots.value, self._undo), now)

    def _cut_slots(self, now: float) -> None:
        if not self.slots.refusals:
            self._undo = self.slots.value
        taken = self._full - (self._refused - self._lone_refused)
        if self._lone_level is not None:
            taken = min(taken, self._lone_level - 1)
        self.slots.refused(now, taken + 1, self._trial_level)
