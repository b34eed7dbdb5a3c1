"""Detects a silent endpoint: requests are in flight, and no reply came for longer than lately.

Judged by the longest time between two replies, which also tells endpoints that answer many requests at once, after
a long while. What is done then is the breaker's: docs/adr/0012.
"""

from __future__ import annotations

import math

LEAST = 4.0
"""Seconds of silence below which nothing is made of it."""
TIMES_AS_LONG = 3.0
"""Silence that is so many times as long as the longest lately is none of the usual ones."""
FEWEST = 20
"""Replies before which what is usual is not known."""
REMEMBERED = 0.995
"""What is left of the longest silence with each reply: it is forgotten after some hundreds."""


class Silence:
    """The times between replies, while something was in flight."""

    __slots__ = ("_heard", "_longest", "_replies")

    def __init__(self) -> None:
        self._heard = math.inf
        self._longest = 0.0
        self._replies = 0

    def listen(self, now: float) -> None:
        """A request leaves, and no other is in flight."""
        self._heard = now

    def heard(self, now: float) -> None:
        """A reply came, whatever it says."""
        silent = now - self._heard
        self._longest *= REMEMBERED
        self._longest = max(self._longest, silent)
        self._heard = now
        self._replies += 1

    @property
    def due(self) -> float:
        """When the present silence is longer than any that is usual; infinite while that is not known."""
        if self._replies < FEWEST:
            return math.inf
        return self._heard + max(LEAST, TIMES_AS_LONG * self._longest)

    @property
    def since(self) -> float:
        """When the latest reply came."""
        return self._heard
