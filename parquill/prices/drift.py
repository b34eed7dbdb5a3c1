"""Finds answers that were billed otherwise than the price looked up at the run's start.

Each row's `cost_usd` is what the endpoint billed. Where that is not its tokens at the price of the start (a price
that changed while the run went on, a dearer provider, a discount, a job's own price that is wrong) the run says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from parquill.money import short_dollars
from parquill.prices.ratio import change_told, differs

NOTICED = 0.01
"""A difference from the listed price that is more than rounding: this share of it."""


@dataclass(slots=True)
class Drift:
    """Sums over the answers that were billed otherwise, in pico-USD."""

    answers: int = 0
    billed_pico: int = 0
    listed_pico: int = 0

    def add(self, billed_pico: int, listed_pico: int) -> bool:
        """Take an answer's bill, and what its tokens cost at the price of the start; return whether they differ."""
        otherwise = differs(billed_pico, listed_pico, by=NOTICED)
        if otherwise:
            self.merge(Drift(1, billed_pico, listed_pico))
        return otherwise

    def merge(self, other: Drift) -> None:
        """Take the answers of another process that asked for the same run."""
        self.answers += other.answers
        self.billed_pico += other.billed_pico
        self.listed_pico += other.listed_pico

    def told(self) -> str | None:
        """Say it to people; None where every answer was billed as listed."""
        if not self.answers:
            return None
        change = change_told(self.billed_pico, self.listed_pico)
        answers = "1 answer was" if self.answers == 1 else f"{self.answers:,} answers were"
        billed, listed = short_dollars(self.billed_pico), short_dollars(self.listed_pico)
        return (
            f"THE PRICE DIFFERS: {answers} billed at {billed} together, where the price of the start gives "
            f"{listed}{f', {change}' if change else ''}. Each row's cost_usd is its bill; "
            "those rows are listed beside the output, in the folder drift"
        )
