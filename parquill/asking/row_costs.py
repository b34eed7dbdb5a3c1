"""Adds up what a row's attempts cost. `parquill.booking` decides the cost of each attempt."""

from __future__ import annotations

from parquill.booking import Booking
from parquill.results import CostSource, weakest


class RowCosts:
    """Sums over a row's attempts, those of earlier processes and runs included."""

    __slots__ = (
        "attempts", "cached_tokens", "completion_tokens", "cost_pico", "prompt_tokens", "source", "upstream_pico",
    )  # fmt: skip

    def __init__(self) -> None:
        self.attempts = 0
        self.cost_pico: int | None = None
        self.source: CostSource | None = None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.upstream_pico: int | None = None

    def add(self, booking: Booking, *, attempts: int = 1) -> None:
        """Add an attempt (or, from an earlier run, `attempts` of them together)."""
        self.attempts += attempts
        self.prompt_tokens = _sum(self.prompt_tokens, booking.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, booking.completion_tokens)
        self.cached_tokens = _sum(self.cached_tokens, booking.cached_tokens)
        self.cost_pico = _sum(self.cost_pico, booking.cost_pico)
        self.upstream_pico = _sum(self.upstream_pico, booking.upstream_pico)
        self.source = booking.source if self.source is None else weakest(self.source, booking.source)


def _sum(known: int | None, more: int | None) -> int | None:
    if known is None:
        return more
    return known if more is None else known + more
