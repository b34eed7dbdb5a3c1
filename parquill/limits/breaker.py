"""What holds rows back from an endpoint that is ill: the breaker and the retry allowance.

Both act on faults (5xx, time-outs, broken connections), which say nothing about limits. A held
row waits at the gate: none of its attempts is used up.
"""

from __future__ import annotations

import math
from collections import deque

WATCHED = 30.0
"""Seconds of replies the breaker looks back on."""
FEWEST = 20
"""Replies below which it does not judge."""
SHARE = 0.5
FIRST_REST = 5.0
LONGEST_REST = 120.0
MOST_PROBES = 4
"""It closes after 1, 2 and 4 probes in a row have all come back well."""

RETRY_SHARE = 0.1
RETRY_FLOOR = 1.0
RETRY_SPAN = 10
"""Retries may be a tenth of first attempts and one a second, over ten seconds (Finagle's retry budget, halved)."""


class Breaker:
    """Opens when at least half of at least 20 replies within 30 s were faults.

    Open, it admits nothing for 5 s x 2^n, at most 120 s; then 1, 2 and 4 probes. One bad probe
    opens it again, with a longer rest.
    """

    __slots__ = (
        "_failed",
        "_generation",
        "_probes",
        "_rests",
        "_seconds",
        "_total",
        "_unsent",
        "_well",
        "trips",
        "until",
    )

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self._total = 0
        self._failed = 0
        self._generation = 0
        self._rests = 0
        self._probes = 0
        self._unsent = 0
        self._well = 0
        self.trips = 0
        self.until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether rows are held back, or let through as probes only."""
        return self.until is not None

    def opens_at(self, now: float) -> float:
        """Return when one more request may leave; infinite while probes are still out."""
        if self.until is None or (now >= self.until and self._unsent):
            return now
        return self.until if now < self.until else math.inf

    def sent(self) -> int:
        """Count a request that leaves; returns the mark to hand back, 0 for one that is no probe."""
        if self.until is None:
            return 0
        self._unsent -= 1
        return self._generation

    def unsent(self, mark: int) -> None:
        """Take back a probe that was not sent, or whose reply says nothing about health."""
        if mark and mark == self._generation:
            self._unsent += 1

    def record(self, now: float, mark: int, *, failed: bool) -> None:
        """Learn how one request ended; `mark` is what `sent` returned for it."""
        if self.until is None:
            self._count(int(now), failed)
            if failed and self._total >= FEWEST and self._failed >= SHARE * self._total:
                self._open(now)
        elif mark and mark == self._generation:
            if failed:
                self._open(now)
            else:
                self._probe_well()

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

    def _open(self, now: float) -> None:
        self.until = now + min(LONGEST_REST, FIRST_REST * 2.0**self._rests)
        self.trips += 1
        self._rests += 1
        self._generation += 1
        self._probes = self._unsent = 1
        self._well = 0

    def _probe_well(self) -> None:
        self._well += 1
        if self._well < self._probes:
            return
        if self._probes >= MOST_PROBES:
            self.until = None
            self._rests = 0
            self._seconds.clear()
            self._total = self._failed = 0
            return
        self._probes *= 2
        self._unsent = self._probes
        self._well = 0


class RetryAllowance:
    """Keeps retries after faults to a share of first attempts, so that a storm cannot build up.

    A retry beyond it waits, it never fails. The caller does not ask while no new row waits:
    then retries take nobody's place, and a tail of them does not crawl.
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
