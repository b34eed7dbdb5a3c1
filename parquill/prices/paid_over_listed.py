"""What rows really cost, compared with the price of the one answer they asked for.

Second tries, lost replies that are booked at worst case, failures that cost nothing, a provider's
discount: none can be foreseen for a row, all show in usage records. For the rows to come it is a ratio of two
sums (paid over listed), whose error is how far single rows lie from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from parquill.prices.ratio import ratio

PRIOR = 2.0
"""Rows that cost what is listed, and are thought to have been seen before the first."""


@dataclass(slots=True)
class Surplus:
    """Sums over finished rows that were sent, in pico-USD: what was paid, and what one answer is listed at."""

    rows: int = 0
    paid: float = 0.0
    listed: float = 0.0
    paid_squares: float = 0.0
    products: float = 0.0
    listed_squares: float = 0.0

    def add(self, paid_pico: int, listed_pico: int) -> None:
        """Take a row: all it cost, and what its tokens cost once at the price that was looked up."""
        self.rows += 1
        self.paid += paid_pico
        self.listed += listed_pico
        self.paid_squares += float(paid_pico) ** 2
        self.products += float(paid_pico) * listed_pico
        self.listed_squares += float(listed_pico) ** 2

    def merge(self, other: Surplus) -> None:
        """Take all rows of another process that asked for the same job."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def ratio(self) -> float:
        """What to expect of rows to come, for each dollar that one answer of each is listed at."""
        prior = PRIOR * self.listed / self.rows if self.rows else 0.0
        paid = ratio(self.paid + prior, self.listed + prior)
        return 1.0 if paid is None else paid

    def applied(self, listed_pico: int) -> int:
        """What to expect of rows that are listed at so much."""
        return listed_pico * round(self.ratio * 10**9) // 10**9

    def error(self, rows: int, listed_pico: int, worth: float = 1.0) -> float:
        """Standard error, in pico-USD, of the cost of so many rows to come that are listed at `listed_pico`;
        `worth`: if so many times the rows had been seen."""
        paid = ratio(self.paid, self.listed)
        if self.rows < 2 or paid is None or not rows:
            return 0.0
        squares = self.paid_squares - 2 * paid * self.products + paid**2 * self.listed_squares
        one = ratio(math.sqrt(max(0.0, squares) / (self.rows - 1)) * self.rows, self.listed) or 0.0
        return one * listed_pico * math.sqrt(1 / (self.rows * worth) + 1 / rows)

    def dump(self) -> dict[str, float]:
        """The sums as a JSON value."""
        return asdict(self)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Surplus:
        """Take up what `dump` returned. Raises `ValueError` when it is something else."""
        try:
            sums = {one.name: float(state[one.name]) for one in fields(cls)}
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of what rows cost: {error}") from error
        if not all(math.isfinite(value) for value in sums.values()):
            raise ValueError("not a record of what rows cost: finite numbers are wanted")
        return cls(int(sums.pop("rows")), **sums)
