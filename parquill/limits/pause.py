"""The pause after a refusal: block all, send one probe, then ramp concurrency up."""

from __future__ import annotations

import math

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
"""Seconds before the way is tried again when the server does not say: doubling, up to this."""
LONGEST_WAIT = 300.0
SLACK = 0.05
TRIAL = 1.0
"""Seconds after which a lone request that was not refused counts as let through."""
RAMP = 2.0
"""Seconds, or as long as an answer takes, until all slots may be filled again."""


class Pause:
    """One valve for the whole gate. `until` is None while it is open, `ramp_from` outside a ramp."""

    __slots__ = ("_length", "_ramp_for", "_trial_level", "_trial_sent", "ramp_from", "until")

    def __init__(self) -> None:
        self.until: float | None = None
        self._length = FIRST_PAUSE
        self._trial_sent: float | None = None
        self._trial_level = 0
        self.ramp_from: float | None = None
        self._ramp_for = RAMP

    @property
    def trial_level(self) -> int:
        """How many were in flight with the last lone request."""
        return self._trial_level

    def shut(self, now: float) -> None:
        """Begin a pause."""
        self._length = FIRST_PAUSE
        self._trial_sent = None
        self.until = now + FIRST_PAUSE

    def extend(self, now: float, wait: float) -> None:
        """Stay shut for as long as the server asks, at most 300 s."""
        self.until = max(self.until or now, now + min(wait, LONGEST_WAIT) + SLACK)

    def trial_refused(self, now: float) -> None:
        """Wait longer before the next lone request."""
        self._trial_sent = None
        self._length = min(LONGEST_PAUSE, self._length * 2)
        self.until = now + self._length

    def is_trial(self, sent_at: float) -> bool:
        """Whether a request sent at that time is the lone one, or later."""
        return self._trial_sent is not None and sent_at >= self._trial_sent

    def passed(self, now: float) -> bool:
        """Whether the lone request has been out long enough without a refusal."""
        return self._trial_sent is not None and now >= self._trial_sent + TRIAL

    def opens_at(self, now: float) -> float:
        """Return when one more request may leave, as far as is known."""
        if self.until is None:
            return now
        return self.until if self._trial_sent is None else self._trial_sent + TRIAL

    def sent(self, now: float, level: int) -> None:
        """Note the lone request, with `level` in flight."""
        if self.until is not None:
            self._trial_sent = now
            self._trial_level = level

    def unsent(self, sent_at: float) -> None:
        """Take the lone request back if it was sent then."""
        if self._trial_sent == sent_at:
            self._trial_sent = None

    def open(self, now: float, latency: float) -> float:
        """Let the rest follow on a ramp; returns since when requests belong to the time after."""
        began = now if self._trial_sent is None else self._trial_sent
        self.until = self._trial_sent = None
        self._ramp(now, latency)
        return began

    def ramp(self, now: float, latency: float) -> None:
        """Fill the slots gradually from now on, beginning with one."""
        self._trial_level = 0
        self._ramp(now, latency)

    def _ramp(self, now: float, latency: float) -> None:
        self.ramp_from = now
        self._ramp_for = max(RAMP, latency)

    def slots_at(self, now: float, slots: int) -> int:
        """Return how many of `slots` may be in use."""
        if self.ramp_from is None:
            return slots
        share = (now - self.ramp_from) / self._ramp_for
        if share >= 1.0:
            self.ramp_from = None
            return slots
        return min(slots, max(1, self._trial_level, math.ceil(slots * share)))

    def next_step(self, now: float, slots: int) -> float:
        """Return when the ramp will allow one more; infinite when there is none."""
        return math.inf if self.ramp_from is None else now + self._ramp_for / slots
