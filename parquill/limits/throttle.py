"""Decides what a refusal for load (429) does to the whole gate, and which limit it speaks of.

All refusals from the first one until a request goes through again are one episode: one pause,
one cut. When it ends it is known what kind of limit it was:

- what the server said (scope, or a reset some seconds away: a rate);
- a lone request refused with few in flight, or any with no other: a rate;
- what was cut before, unless the refusals since then do not fit it: a limit on slots refuses
  at one number in flight and never below, a limit on a rate at any;
- otherwise the number in flight.

A server that lets requests through again only after some seconds counts by the minute: then
what went through before the refusal is its limit, and becomes the first guess.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from parquill.limits.concurrency_search import ConcurrencySearch
from parquill.limits.pause import LONGEST_WAIT, Pause
from parquill.limits.random_refusals import RandomRefusals
from parquill.limits.rate_search import TELLING, RateSearch
from parquill.limits.search_stage import Stage
from parquill.limits.tickets import Scope
from parquill.limits.window import Meter

MINUTE_LIKE = 3.0
"""Seconds shut out from which on the server's window is taken to be a minute."""
RESET_LIKE = 5.0
"""Seconds that a server asks to wait from which on it speaks of a rate."""
PROVEN_BIN = 5.0
PROVEN_FOR = 300.0
FLOOR = 0.45
"""Seconds, and the share of what was taken within one minute lately below which a rate is not cut:
a limit that halves is followed, refusals that come and go do not end at a crawl."""
FEW = 0.4
"""A lone request refused with this share in flight of what the first one had: a rate."""
SAME = 4
SAME_WITHIN = 0.025
"""Refusals by which a rate is doubted, and how near to each other their numbers in flight must be."""


@dataclass(slots=True)
class Episode:
    """What is seen from the first refusal until a request goes through again."""

    began: float
    full: int  # in flight at the first refusal, the refused one included
    attempted: float  # requests a minute just before
    counted: float  # sent in what may have been the server's minute
    certain: bool  # whether this is a limit, not one of the refusals that come and go
    asked: float = 0.0
    scope: Scope = Scope.UNCLEAR
    refused: int = 0
    lone_refused: int = 0
    lone_level: float = math.inf

    @property
    def taken(self) -> int:
        """How many in flight were not refused, at least one: a limit below is none on what is in flight."""
        return int(max(1, min(self.full - (self.refused - self.lone_refused), self.lone_level - 1)))


class Proven:
    """What the server has taken within a minute lately: no limit of it can be far below that."""

    __slots__ = ("_at", "_taken")

    def __init__(self) -> None:
        self._taken: deque[list[int]] = deque()
        self._at = -1

    def took(self, now: float) -> None:
        """Count an answered request."""
        at = int(now // PROVEN_BIN)
        if at != self._at:
            self._at = at
            self._taken.append([at, 0])
            while self._taken[0][0] < at - PROVEN_FOR / PROVEN_BIN:
                self._taken.popleft()
        self._taken[-1][1] += 1

    def most(self) -> int:
        """Return the most that was answered within any minute of the last five."""
        bins = int(60 / PROVEN_BIN)
        return max((sum(n for at, n in self._taken if last - bins < at <= last) for last, _ in self._taken), default=0)


class Throttle:
    """The pause, and the two searches that a refusal moves."""

    __slots__ = (
        "_ended",
        "_episode",
        "_knows_minute",
        "_latency",
        "_mark",
        "_noise",
        "_proven",
        "_refusals",
        "_resumed",
        "_sent",
        "_undo",
        "pause",
        "pauses",
        "rates",
        "requests",
        "slots",
        "throttled",
    )

    def __init__(self, requests: Meter, rates: RateSearch, slots: ConcurrencySearch, now: float) -> None:
        self.requests = requests
        self.rates = rates
        self.slots = slots
        self.pause = Pause()
        self.pauses = 0
        self.throttled = 0
        self._noise = RandomRefusals()
        self._proven = Proven()
        self._episode: Episode | None = None
        self._ended = -math.inf
        self._resumed = now
        self._sent = 0
        self._mark = 0
        self._knows_minute = False
        self._latency = 0.0
        self._refusals: deque[tuple[int, float]] = deque(maxlen=SAME)
        self._undo = slots.value

    def opens_at(self, now: float) -> float:
        """Return when one more request may leave as far as the pause is concerned."""
        if self.pause.passed(now):
            self._end(now)
        return self.pause.opens_at(now)

    def sent(self, now: float, level: int) -> None:
        """Count a request that leaves with `level` in flight, itself included."""
        self._sent += 1
        self.pause.sent(now, level)

    def unsent(self, sent_at: float) -> None:
        """Take back a request that did not leave after all."""
        self._sent -= 1
        self.pause.unsent(sent_at)

    def answered(self, now: float, sent_at: float, *, waiting: bool) -> None:
        """Learn from an answer; `waiting` when rows wait for a slot in flight."""
        self._proven.took(now)
        if self._episode is None:
            self._latency += 0.02 * (now - sent_at - self._latency)
            self.slots.answered(now, sent_at, waiting=waiting)
            if self.rates.stage is not Stage.FREE:
                self.rates.quiet(now, self._sent)
                self._set_rate()
        elif self.pause.is_trial(sent_at):
            self._end(now)

    def broke_off(self, now: float, level: int) -> None:
        """Go back to `level` slots: an outage has begun, and what was found since its first fault means nothing."""
        self.slots.hold(now, level)

    def recovered(self, now: float) -> None:
        """Let the rest follow on a ramp: the endpoint is back after an outage, at whose end all rows wait."""
        self.slots.hold(now, self.slots.value)
        if self._episode is None:
            self.pause.ramp(now, self._latency)

    def refused(self, now: float, sent_at: float, in_flight: int, wait: float | None, scope: Scope) -> None:
        """Take a refusal in; `in_flight` counts the refused request itself.

        `wait` is what the server asks for, in seconds. Refusals of requests that left before
        the last cut are ignored: that cut already answers them.
        """
        self.throttled += 1
        episode = self._episode
        if episode is None:
            if sent_at < self._ended:
                return
            brief = wait is not None and wait < RESET_LIKE and self._noise.noisy(now)
            told = scope is not Scope.UNCLEAR or (wait is not None and not brief)
            episode = self._suspect(now, in_flight, told=told)
            if episode is None:
                return
        else:
            episode.certain = self._noise.exceeds(now, self._sent) or episode.certain
        episode.refused += 1
        if scope is not Scope.UNCLEAR:
            episode.scope = scope
        if self.pause.is_trial(sent_at):
            episode.lone_refused += 1
            episode.lone_level = min(episode.lone_level, in_flight)
            self.pause.trial_refused(now)
        if wait is not None:
            episode.asked = max(episode.asked, min(wait, LONGEST_WAIT))
            self.pause.extend(now, wait)

    def tell(self, now: float, limit: float, used: int) -> None:
        """Take a told limit for the highest rate, of which the server counts `used` now; infinite takes it back."""
        self.rates.ceiling = limit
        self.rates.forget(now)
        self._set_rate()
        others = used - self.requests.used(now)
        if limit != math.inf and others > 0:
            self.requests.book(now, others)

    def _suspect(self, now: float, in_flight: int, *, told: bool) -> Episode | None:
        """Begin an episode, unless the refusal is taken for one of those that come and go."""
        exceeds = self._noise.exceeds(now, self._sent)
        if not exceeds and not told:
            return None
        went = now - self._resumed
        if self._noise.stretch(now, went, self._sent - self._mark):
            self._take_back(now)
            exceeds = False
        seconds = min(5.0, max(1.0, went))
        self._episode = Episode(
            began=now,
            full=in_flight,
            attempted=60.0 * max(1.0, self.requests.sent_within(now, seconds)) / seconds,
            counted=float(self._sent - self._mark) if self._knows_minute and went < 60.0 else self.requests.used(now),
            certain=exceeds or not self._noise.noisy(now),
        )
        self.pauses += 1
        self.pause.shut(now)
        return self._episode

    def _end(self, now: float) -> None:
        """Cut what was too high, and let the rest through on a ramp."""
        episode, self._episode = self._episode, None
        assert episode is not None
        by_minute = max(episode.asked, now - episode.began) >= MINUTE_LIKE
        if episode.certain or episode.lone_refused or episode.scope is not Scope.UNCLEAR or by_minute:
            if self._is_rate(episode):
                self._cut_rate(now, episode, by_minute=by_minute)
            else:
                self._cut_slots(now, episode)
        self._ended = self.pause.open(now, self._latency)
        self._resumed = now
        self._mark = self._sent - 1
        self._knows_minute = by_minute

    def _is_rate(self, episode: Episode) -> bool:
        """Say which kind of limit refused."""
        if episode.scope is not Scope.UNCLEAR:
            return episode.scope is Scope.RATE
        lone = min(episode.full, episode.lone_level) <= 1
        if lone or episode.asked >= RESET_LIKE or episode.lone_level <= FEW * episode.full:
            return True
        if self.rates.value == self.rates.ceiling:
            return self.slots.doubtful(episode.began)
        self._refusals.append((episode.taken, self.rates.value))
        if len(self._refusals) < SAME:
            return True
        # The flow is even now and slots are free: at one number in flight whatever the rate means slots.
        in_flight, rate = (_spread(values) for values in zip(*self._refusals, strict=True))
        return in_flight > SAME_WITHIN or rate < 1.5 * in_flight + 0.015

    def _cut_rate(self, now: float, episode: Episode, *, by_minute: bool) -> None:
        free = self.rates.value == math.inf
        counted = max(1.0, episode.counted - episode.refused) if by_minute else None
        if free and counted is not None and counted < TELLING and not self._knows_minute:
            return  # its minute may have begun, and been used by others, before we came
        attempted = episode.attempted if free else self.rates.value
        self.rates.refused(now, self._sent, attempted, counted, floor=FLOOR * self._proven.most())
        self._set_rate()
        if self.slots.refusals:
            self.slots.restore(max(self.slots.value, self._undo), now)
            self._refusals.clear()

    def _cut_slots(self, now: float, episode: Episode) -> None:
        if not self.slots.refusals:
            self._undo = self.slots.value
        self._refusals.clear()
        if episode.scope is Scope.UNCLEAR:
            self.rates.forget(now)
            self._set_rate()
        self.slots.refused(now, episode.taken + 1, self.pause.trial_level)

    def _take_back(self, now: float) -> None:
        """Go on as before the cuts: they did not help."""
        self.rates.forget(now)
        self._set_rate()
        self.slots.restore(max(self.slots.value, self._undo), now)

    def _set_rate(self) -> None:
        if self.requests.limit != self.rates.value:
            self.requests.limit = self.rates.value


def _spread(values: tuple[float, ...]) -> float:
    """Return how far apart positive values are, as a share of the largest."""
    return 1 - min(values) / max(values)
