"""An estimate's costs: expected, a range, and what single rows cost at most at fixed shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARES = (0.5, 0.9, 0.99)
"""Shares of the rows at which estimates and runs are compared: the median, and the expensive rows."""


@dataclass(frozen=True, slots=True)
class CostRange:
    """An estimate's costs in pico-USD: the expected cost, its 95 % range, and single rows' quantiles."""

    expected_pico: int
    low_pico: int
    high_pico: int
    rows_pico: tuple[int, ...] = ()
    """What a row costs at most, at each of `SHARES`."""

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> CostRange:
        """Read what `asdict` made.

        Args:
            data: the fields by name.

        Raises:
            KeyError: a field is missing.
            TypeError: a field is no number.
        """
        rows = tuple(int(pico) for pico in data["rows_pico"])
        return cls(int(data["expected_pico"]), int(data["low_pico"]), int(data["high_pico"]), rows)
