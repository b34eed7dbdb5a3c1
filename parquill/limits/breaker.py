"""Holds rows back while the endpoint fails: the circuit breaker and the retry allowance.

Both act on faults (5xx, time-outs, broken connections), which say nothing about limits. A held row waits at the
gate and uses up no attempt. See ADR 0012.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import deque

from parquill.limits.tickets import ADMITTED, Ticket

IN_A_ROW = 6
"""Faults with no answer in between, in the order of replies or of sending, that show an outage."""
OUTLIVED = 2.0
"""A request that is under way for so many times as long as the slowest fault took has not met the outage."""
OVERTAKEN = 2
"""Faults more that it takes for each such request: one may have arrived just before an outage began."""
WATCHED = 30.0
"""Seconds of replies the breaker looks back on."""
FEWEST = 20
"""Replies below which it does not judge by their share of faults."""
SHARE = 0.5

FIRST_LOOK = 1.0
LOOK_EVERY = 2.5
LOOK_SHARE = 0.03
"""Seconds from the outage's beginning to the first look, between two looks, and the share of the outage's length
between them later: the endpoint is found again within 5 s, after more than two minutes within 5 % of the outage."""
MOST_SENT = 20
COVERED = 3600.0
"""Completions sent into an outage of so many seconds, at most. One that fails though a look had found the endpoint
makes the next one wait longer, by a factor that spreads those that are left over this time."""
BLIND_AFTER = 60.0
"""Seconds after which, and then at each doubling, a completion is sent although no look found the endpoint: not
every server has something to look at."""
AGAIN_WITHIN = 30.0
"""Seconds after an outage in which a further one makes the first look come later."""

RETRY_SHARE = 0.1
RETRY_FLOOR = 1.0
RETRY_SPAN = 10
"""Retries may be a tenth of first attempts and one a second, over ten seconds (Finagle's retry budget, halved)."""


class Breaker:
    """Opens when requests fail in a row, or half of at least 20 replies within 30 s; then looks until one is answered.

    A look costs nothing (`GET /models`); the caller makes it where `looks` is set, and tells `looked`. Where it
    finds the endpoint, one completion is let through; its answer closes the breaker. Without looks, completions
    alone are tried.
    """

    __slots__ = (
        "_began",
        "_blind_at",
        "_closed_at",
        "_failed",
        "_failed_probes",
        "_flaps",
        "_found",
        "_generation",
        "_in_a_row",
        "_look_at",
        "_looked_at",
        "_looking",
        "_next_at",
        "_out",
        "_seconds",
        "_sends",
        "_slower",
        "_total",
        "_unsent",
        "is_lost",
        "level",
        "looks",
        "suspects",
        "trips",
        "until",
        "was_silent",
    )

    def __init__(self, *, looks: bool = False) -> None:
        """`looks`: the caller makes looks when `wants_look` says so."""
        self.looks = looks
        self._sends: deque[Ticket] = deque()
        self._seconds: deque[list[int]] = deque()
        self._total = self._failed = self._in_a_row = 0
        self._generation = self._unsent = self._out = self._failed_probes = self._flaps = 0
        self._began = self._look_at = self._looked_at = self._blind_at = self._next_at = 0.0
        self._closed_at = -math.inf
        self._slower = _slower(MOST_SENT)
        self._looking = self._found = False
        self.was_silent = False
        """Whether the latest outage began with no reply at all."""
        self.is_lost = False
        """Whether the latest outage was a silence in which a look found nothing, or a probe was not answered either:
        what was sent before is lost."""
        self.trips = self.level = 0
        """How often it opened, and how many slots there were when the first fault of the latest outage came."""
        self.suspects = 0
        """Faults of requests that were sent after the latest one to be answered."""
        self.until: float | None = None
        """When it opened; None while it is closed."""

    @property
    def is_open(self) -> bool:
        """Whether rows wait, or are let through as probes only."""
        return self.until is not None

    @property
    def is_certain(self) -> bool:
        """Whether the endpoint is known to fail for all rows: no look has found it."""
        return self.until is not None and not self._found

    def opens_at(self, now: float) -> float:
        """Return when one more request may leave, as far as is known; infinite while a probe or a look is out."""
        if self.until is None or self._unsent:
            return now
        self._pass_over(now)
        if self._out or self._looking:
            return self._next_at if self._out and self.was_silent else math.inf
        if now < self._look_at:
            return self._look_at
        if self.looks:
            return math.inf
        self._unsent = 1
        return now

    def wants_look(self, now: float) -> bool:
        """Whether a look is due; if so it is counted as begun."""
        self._pass_over(now)
        if self.until is None or not self.looks or self._unsent or self._out or self._looking or now < self._look_at:
            return False
        self._looking, self._looked_at = True, now
        return True

    def looked(self, now: float, *, found: bool) -> None:
        """Take in what a look found; one completion may leave where it found the endpoint."""
        self._looking = False
        if self.until is None:
            return
        self._found = found
        if self.was_silent and not found:
            self._is_outage()
        if now >= (self._next_at if found else self._blind_at):
            self._unsent = 1
            self._blind_at = now + max(BLIND_AFTER, now - self._began)
        else:
            self._look_at = max(now, self._looked_at + self._pace(now))

    def sent(self, ticket: Ticket) -> None:
        """Count a request that leaves."""
        if self.until is None:
            ticket.probe = 0
            self._sends.append(ticket)
        else:
            self._unsent -= 1
            self._out += 1
            ticket.probe = self._generation
            if self.was_silent:
                self._next_at = ticket.sent_at + LOOK_EVERY * self._slower**self._failed_probes

    def unsent(self, ticket: Ticket) -> None:
        """Take back a probe that was not sent, or whose reply says nothing about health."""
        if ticket.probe and ticket.probe == self._generation:
            self._out -= 1
            self._unsent += 1

    def record(self, now: float, ticket: Ticket, *, failed: bool, wait: float = 0.0) -> None:
        """Learn how one request ended; `wait` is what the endpoint asked for, in seconds."""
        if self.until is not None:
            if ticket.probe and ticket.probe == self._generation:
                self._probed(now, failed=failed, wait=wait)
            elif self.was_silent and not failed:
                self._close(now)  # what was sent before is answered after all
            return
        self._count(int(now), failed)
        if not failed:
            self._in_a_row = 0
            sends = self._sends
            while sends and sends[0].sent_at <= ticket.sent_at:
                if not math.isnan(sends.popleft().failed_after):
                    self.suspects -= 1
            return
        self._in_a_row += 1
        ticket.failed_after = now - ticket.sent_at
        if self._sends and ticket.sent_at >= self._sends[0].sent_at:
            self.suspects += 1
        half = self._total >= FEWEST and self._failed >= SHARE * self._total
        if half or self._in_a_row >= IN_A_ROW or self._all_failed(now):
            self._open(now, ticket, wait)

    def _all_failed(self, now: float) -> bool:
        """Whether all that was sent since the latest answered request has failed, but for what is too young."""
        since = itertools.dropwhile(lambda one: math.isnan(one.failed_after), self._sends)
        later = list(since)
        failed = [one.failed_after for one in later if not math.isnan(one.failed_after)]
        if len(failed) < IN_A_ROW:
            return False
        young = now - OUTLIVED * max(failed)
        outlived = sum(one.phase is ADMITTED and one.sent_at < young for one in later)
        return len(failed) >= IN_A_ROW + OVERTAKEN * outlived

    def _count(self, second: int, failed: bool) -> None:
        seconds = self._seconds
        if not seconds or seconds[-1][0] != second:
            seconds.append([second, 0, 0])
            while seconds[0][0] <= second - WATCHED:
                _, total, faults = seconds.popleft()
                self._total -= total
                self._failed -= faults
        seconds[-1][1] += 1
        self._total += 1
        if failed:
            seconds[-1][2] += 1
            self._failed += 1

    def open_silent(self, now: float, since: float, level: int) -> None:
        """Open because nothing was heard `since` then, with `level` slots: look at once.

        Any answer closes it again. It counts as an outage once a look finds nothing or a probe is not answered either.
        """
        self.level = level
        self._begin(now, since, sum(one.sent_at >= since for one in self._sends))
        self.was_silent, self._look_at = True, now

    def _is_outage(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.trips += 1

    def _pass_over(self, now: float) -> None:
        """Wait no longer for a probe that is as silent as all before; should it be answered, that counts."""
        if self.was_silent and self._out and now >= self._next_at:
            self._out = 0
            self._generation += 1
            self._failed_probes += 1
            self._look_at = now
            self._is_outage()

    def _open(self, now: float, last: Ticket, wait: float) -> None:
        faults = [one for one in self._sends if not math.isnan(one.failed_after)]
        self.level = min(faults, key=lambda one: one.sent_at + one.failed_after, default=last).level
        self.trips += 1
        first = min((one.sent_at for one in faults), default=last.sent_at)
        self._begin(now, last.sent_at, sum(one.sent_at >= first for one in self._sends))
        self._flaps = self._flaps + 1 if now - self._closed_at < AGAIN_WITHIN else 0
        self._look_at = now + max(wait, min(LOOK_EVERY, FIRST_LOOK * 2.0**self._flaps))

    def _begin(self, now: float, since: float, into: int) -> None:
        self.until = now
        self._slower = _slower(max(3, MOST_SENT - 1 - into))
        self._generation += 1
        self._unsent = self._out = self.suspects = 0
        self._found = self.was_silent = self.is_lost = False
        self._began, self._failed_probes, self._next_at = since, 0, now
        self._blind_at = now + BLIND_AFTER

    def _pace(self, now: float) -> float:
        return max(LOOK_EVERY, LOOK_SHARE * (now - self._began))

    def _probed(self, now: float, *, failed: bool, wait: float) -> None:
        self._out = max(0, self._out - 1)
        if failed:
            if self._found or not self.looks:
                self._failed_probes += 1
                self._next_at = now + LOOK_EVERY * self._slower**self._failed_probes
            self._look_at = max(now + wait, now + self._pace(now) if self.looks else self._next_at)
            return
        self._close(now)

    def _close(self, now: float) -> None:
        self.until = None
        self._closed_at = now
        self._seconds.clear()
        self._sends.clear()
        self._total = self._failed = self._in_a_row = 0


@functools.cache
def _slower(probes: int) -> float:
    """Return by what factor each probe waits longer than the one before, so that `probes` of them cover `COVERED`."""
    low, high = 1.0, COVERED
    for _ in range(60):
        factor = (low + high) / 2
        if LOOK_EVERY * sum(factor**number for number in range(1, probes + 1)) < COVERED:
            low = factor
        else:
            high = factor
    return high


class RetryAllowance:
    """Keeps retries after faults to a share of first attempts, so that a storm cannot build up.

    A retry beyond it waits, it never fails. The caller does not ask while no new row waits:
    then retries delay no other row, and the last retries are not slow.
    """

    __slots__ = ("_excused", "_firsts", "_retries", "_seconds")

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self._firsts = 0
        self._retries = 0
        self._excused = 0

    def free_at(self, now: float) -> float:
        """Return when a retry may leave: now, or when the next second is forgotten."""
        self._forget(int(now))
        if self._excused or self._retries < RETRY_SHARE * self._firsts + RETRY_FLOOR * RETRY_SPAN:
            return now
        return float(self._seconds[0][0] + RETRY_SPAN)

    def excuse(self) -> None:
        """Let one retry go uncounted: its cause was a limit, not a fault."""
        self._excused += 1

    def sent(self, now: float, *, retry: bool) -> None:
        """Count an attempt that leaves."""
        if retry and self._excused:
            self._excused -= 1
            return
        second = int(now)
        seconds = self._seconds
        if not seconds or seconds[-1][0] != second:
            self._forget(second)
            seconds.append([second, 0, 0])
        if retry:
            seconds[-1][2] += 1
            self._retries += 1
        else:
            seconds[-1][1] += 1
            self._firsts += 1

    def _forget(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - RETRY_SPAN:
            _, firsts, retries = self._seconds.popleft()
            self._firsts -= firsts
            self._retries -= retries
