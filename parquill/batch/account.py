"""What a row's attempts cost together, and how one attempt is booked.

A receipt counts as it stands (`usage.cost`, else tokens at the table's price). A complete
error reply without usage costs nothing. Where an answer came without usage, or the reply was
lost, the worst case stays booked: the endpoint may have billed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from parquill.prices import Price
from parquill.replies import Verdict
from parquill.results import CostSource, weakest


@dataclass(frozen=True, slots=True)
class Booking:
    """One attempt in the books. `cost_pico` is None where no price is known."""

    cost_pico: int | None
    source: CostSource
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None

    @property
    def tokens(self) -> int | None:
        """Prompt and completion together, None without a receipt."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


def book(verdict: Verdict, price: Price | None, *, worst_pico: int, images: int) -> Booking:
    """Return how one attempt is booked."""
    usage = verdict.usage
    if usage is None:
        if verdict.completion is None and not verdict.lost:
            return Booking(0, CostSource.ENDPOINT)
        return Booking(worst_pico, CostSource.ESTIMATE) if price else Booking(None, CostSource.UNKNOWN)
    cost, source = usage.cost_pico, CostSource.ENDPOINT
    if cost is None and price is not None:
        provider = verdict.completion.provider if verdict.completion else None
        cost = price.for_provider(provider).cost_pico(usage.prompt_tokens, usage.completion_tokens, images)
        source = CostSource.PRICE
    elif cost is None:
        source = CostSource.UNKNOWN
    return Booking(cost, source, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)


class Account:
    """Sums over a row's attempts, those of earlier processes and runs included."""

    __slots__ = ("attempts", "cached_tokens", "completion_tokens", "cost_pico", "prompt_tokens", "source")

    def __init__(self) -> None:
        self.attempts = 0
        self.cost_pico: int | None = None
        self.source: CostSource | None = None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.cached_tokens: int | None = None

    def add(self, booking: Booking, *, attempts: int = 1) -> None:
        """Add an attempt (or, from an earlier run, `attempts` of them together)."""
        self.attempts += attempts
        self.prompt_tokens = _sum(self.prompt_tokens, booking.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, booking.completion_tokens)
        self.cached_tokens = _sum(self.cached_tokens, booking.cached_tokens)
        self.cost_pico = _sum(self.cost_pico, booking.cost_pico)
        self.source = booking.source if self.source is None else weakest(self.source, booking.source)


def _sum(known: int | None, more: int | None) -> int | None:
    if known is None:
        return more
    return known if more is None else known + more
