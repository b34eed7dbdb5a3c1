"""An estimate's costs, and the distribution of single rows' costs.

Memory does not grow with the rows: whole numbers are counted in classes that grow by one per cent, so that a
quantile is right to half a per cent; counting one takes a third of a microsecond. `SHARES` are the quantiles
that estimates and runs are compared at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHARES = (0.5, 0.9, 0.99)
"""The row in the middle, and the dear ones."""

_CLASSES = 1 / math.log(1.01)
"""Classes for each power of e."""


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
        """Read what `asdict` made; raises `KeyError` or `TypeError` where it is something else."""
        rows = tuple(int(pico) for pico in data["rows_pico"])
        return cls(int(data["expected_pico"]), int(data["low_pico"]), int(data["high_pico"]), rows)


class Quantiles:
    """Counts whole numbers, and tells which of them a share of all does not exceed."""

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()

    def add(self, number: int) -> None:
        """Count a number; what is not above zero counts as zero."""
        self._classes[_class_of(number)] += 1

    def add_all(self, numbers: Sequence[int]) -> None:
        """Count many numbers at once."""
        for number, times in Counter(numbers).items():
            self._classes[_class_of(number)] += times

    @property
    def count(self) -> int:
        """Numbers counted so far."""
        return self._classes.total()

    def at_shares(self, deviation: float = 0.0) -> tuple[int, ...]:
        """Return the quantiles at `SHARES`; none where nothing was counted.

        With a `deviation` each number stands for a normal distribution around it, of what it may turn out to be.
        """
        if not self._classes:
            return ()
        centres = sorted((_centre(place), number) for place, number in self._classes.items())
        return tuple(round(max(0.0, _quantile(centres, share * self.count, deviation))) for share in SHARES)


def _class_of(number: int) -> int:
    return int(math.log(number) * _CLASSES) if number > 0 else -1


def _centre(place: int) -> float:
    return math.exp((place + 0.5) / _CLASSES) if place >= 0 else 0.0


def _quantile(centres: list[tuple[float, int]], rank: float, deviation: float) -> float:
    if deviation <= 0:
        for centre, number in centres:
            rank -= number
            if rank <= 1e-9:
                return centre
        return centres[-1][0]
    low, high = centres[0][0] - 6 * deviation, centres[-1][0] + 6 * deviation
    for _ in range(40):
        middle = (low + high) / 2
        below = sum(number * _below((middle - centre) / deviation) for centre, number in centres)
        low, high = (middle, high) if below < rank else (low, middle)
    return (low + high) / 2


def _below(sigmas: float) -> float:
    """The share of a normal distribution below so many standard deviations."""
    return 0.5 * math.erfc(-sigmas / math.sqrt(2))
