"""Measures how long the endpoint has answered nothing, and counts what came instead."""

from __future__ import annotations

import math


class Unanswered:
    """The time since the last answer, from the first fault on; times are monotonic seconds."""

    __slots__ = ("_last", "any", "asked_to_wait", "give_up", "since", "words")

    def __init__(self, give_up: float | None) -> None:
        """`give_up`: seconds after which the run stops; None: never."""
        self.give_up = math.inf if give_up is None else give_up
        self._last = -math.inf
        self.any = False
        """Whether anything was ever answered."""
        self.since: float | None = None
        """Since when nothing was answered though requests were sent; None while the endpoint answers."""
        self.words = ""
        """The latest fault's own."""
        self.asked_to_wait = False
        """Whether the endpoint asked for a pause with it."""

    def answered(self, now: float) -> None:
        """The endpoint took a request, whatever it thinks of it."""
        self._last, self.any, self.since = now, True, None

    def failed(self, sent_at: float, words: str, *, asked_to_wait: bool) -> None:
        """A request that was sent at that time came to nothing."""
        if self.since is None:
            self.since = max(sent_at, self._last)
        self.words, self.asked_to_wait = words, asked_to_wait

    def forget(self) -> None:
        """Nothing is sent for other reasons: the time without an answer begins anew."""
        self.since = None

    @property
    def due(self) -> float:
        """When the run gives up."""
        return math.inf if self.since is None else self.since + self.give_up

    def why(self) -> str:
        """Say why the run gives up."""
        return (
            f"nothing was answered for {self.give_up:g} s (retry.give_up_seconds); the last fault: "
            f"{self.words or 'not told'}"
        )
