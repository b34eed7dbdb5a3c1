"""A limit per minute, kept in every window of 60 seconds and used evenly.

Two rules at once. The window is the guarantee: what was sent within the last 60 s plus a guard
for uneven network delay, counted in bins of 0.1 s that expire as a whole, never passes the
limit; so no window of the server's can see more, whatever its phase or kind. The pace spreads
them: requests leave one by one at the window's own rate instead of in a burst each minute,
as token buckets and servers that count by the second want it. Pace alone would let a burst
over the limit, window alone would be refused by such servers.

`Meter` counts exact weights (requests). `EstimateMeter` counts weights that are known only
after the reply (tokens): a settlement amends the entry in its own bin, never "gives back now",
which would let a later window overshoot; until then the error still to be expected of what is
in flight, learned from settlements, is kept free.

Trade-off: tokens are dated when their request leaves. A server that counts completion tokens
when they are written sees them later, in the same amount per minute but not in the same window.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW = 60.0
BIN = 0.1
GUARD = 0.2
"""Seconds by which the delay to the server may vary (p99.9 less the minimum) without a 429."""
SPAN = WINDOW + GUARD
CATCH_UP = 0.25
"""Seconds of lateness that a queue makes good for at once: the event loop is never quite on time."""
MOST_BEHIND = 2.0
HASTE = 0.05
"""Later it makes good for what is more, up to 2 s, by going 5 % faster for a while."""
SIGMAS = 4.0
REMEMBERED = 200
MEMORY = 1 / REMEMBERED
"""Share that one settlement has in what is known of errors: a memory of about 400."""


class Bin:
    """What was sent in one tenth of a second; it expires as a whole."""

    __slots__ = ("amount", "expires")

    def __init__(self, expires: float, amount: float) -> None:
        self.expires = expires
        self.amount = amount


class Meter:
    """One limit per minute; `limit` may be infinite, then it only counts."""

    __slots__ = ("_behind", "_bins", "_due", "_interval", "_limit", "_total")

    _even = True
    """Whether a stop by the window is not made good for: so the flow stays even."""

    def __init__(self, limit: float, now: float) -> None:
        self._bins: deque[Bin] = deque()
        self._total = 0.0
        self._due = now
        self._behind = 0.0
        self.limit = limit

    @property
    def limit(self) -> float:
        """The limit in force, per minute; setting it keeps what was counted."""
        return self._limit

    @limit.setter
    def limit(self, limit: float) -> None:
        self._limit = limit
        # A bin's width slower than the window, so that the window never has to stop an even flow.
        self._interval = (SPAN + BIN) / limit

    def used(self, now: float) -> float:
        """Return what counts against the limit at `now`."""
        self._expire(now)
        return self._total

    def sent_within(self, now: float, seconds: float) -> float:
        """Return what was sent in about the last `seconds`."""
        since = now - seconds + SPAN
        return sum(entry.amount for entry in self._bins if entry.expires > since)

    def ready_at(self, now: float, weight: float) -> float:
        """Return when `weight` may leave as far as is known now; not after `now` means at once."""
        if self._due > now:
            return self._due
        bins = self._bins
        if bins and bins[0].expires <= now:
            self._expire(now)
        excess = self._total + self._doubt() + weight - self._limit
        if excess <= 0 or not bins:
            return now
        when = self._frees_at(excess)
        if self._even:
            self._due = when
        return when

    def fits_window(self, weight: float) -> bool:
        """Say whether the window, pace apart, has `weight` left after a `ready_at`."""
        return self._total + self._doubt() + weight <= self._limit

    def take(self, now: float, weight: float, *, late: bool) -> Bin:
        """Count `weight` as sent at `now`; `late` when the gate alone kept it waiting: that is made good for."""
        cost = weight * self._interval
        if self._behind:
            made_good = min(self._behind, HASTE * cost)
            self._behind -= made_good
            cost -= made_good
        if not late:
            self._due = (now if now > self._due else self._due) + cost
        elif self._due >= now - CATCH_UP:
            self._due += cost
        else:
            self._behind = min(MOST_BEHIND, self._behind + now - CATCH_UP - self._due)
            self._due = now - CATCH_UP + cost
        expires = (now // BIN + 1.0) * BIN + SPAN
        self._total += weight
        if self._bins and self._bins[-1].expires >= expires:
            last = self._bins[-1]
            last.amount += weight
            return last
        entry = Bin(expires, weight)
        self._bins.append(entry)
        return entry

    def book(self, now: float, weight: float) -> None:
        """Count what others sent: it fills the window, and is no step of our pace."""
        due = self._due
        Meter.take(self, now, weight, late=False)
        self._due = due

    def amend(self, entry: Bin, change: float) -> None:
        """Correct what was counted, in its own bin; nothing when that has expired."""
        if self._bins and entry.expires >= self._bins[0].expires:
            entry.amount += change
            self._total += change
        self._due += change * self._interval

    def _doubt(self) -> float:
        return 0.0

    def _expire(self, now: float) -> None:
        bins = self._bins
        while bins and bins[0].expires <= now:
            self._total -= bins.popleft().amount
        if not bins:
            self._total = 0.0

    def _frees_at(self, excess: float) -> float:
        when = self._bins[0].expires
        for entry in self._bins:
            when = entry.expires
            excess -= entry.amount
            if excess <= 0:
                break
        return when


class EstimateMeter(Meter):
    """A limit on weights that are estimates until their request is settled."""

    # Sizes that differ widely stop at the window often: what they leave must be used by the next.
    _even = False

    __slots__ = ("_bias", "_open", "_open_squares", "_settled", "_share", "_variance")

    def __init__(self, limit: float, now: float) -> None:
        super().__init__(limit, now)
        self._open = 0.0
        self._open_squares = 0.0
        self._settled = 0
        self._share = 0.1
        self._bias = 0.0
        self._variance = 0.01

    def take(self, now: float, weight: float, *, late: bool) -> Bin:
        """Count an estimate."""
        self._open += weight
        self._open_squares += weight * weight
        return Meter.take(self, now, weight, late=late)

    def settle(self, entry: Bin, estimate: float, actual: float | None) -> None:
        """Replace an estimate by what it was; None keeps it, and nothing is learned."""
        left, squares = self._open - estimate, self._open_squares - estimate * estimate
        self._open = left if left > 0.0 else 0.0
        self._open_squares = squares if squares > 0.0 else 0.0
        if actual is None:
            return
        self.amend(entry, actual - estimate)
        if estimate > 0:
            self._learn((actual - estimate) / estimate)

    def give_back(self, entry: Bin, estimate: float) -> None:
        """Forget an entry whose request was not sent."""
        self.settle(entry, estimate, None)
        self.amend(entry, -estimate)

    def _learn(self, error: float) -> None:
        """Follow the mean and the spread of relative errors over the last few hundred settlements."""
        error = -0.5 if error < -0.5 else 1.0 if error > 1.0 else error  # one outlier is no trend
        self._settled += 1
        self._share = 1.0 / self._settled if self._settled < REMEMBERED else MEMORY
        off = error - self._bias
        self._bias += self._share * off
        # From the prior on, not from the first error alone: one sample has no spread.
        self._variance += (self._share if self._share < 0.1 else 0.1) * (off * off - self._variance)

    def _doubt(self) -> float:
        """Return how far what is in flight may turn out above its estimates, together.

        Each has an error of its own, and the mean they share is known only so well.
        """
        if not self._open:
            return 0.0
        squares = self._open_squares + self._open * self._open * self._share / 2
        return self._bias * self._open + SIGMAS * math.sqrt(self._variance * squares)
