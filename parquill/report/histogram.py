"""Histogram of numbers, in memory that does not grow with their count.

Class borders grow by half a per cent (as in HdrHistogram). So a quantile is right to half a per cent, from one row
to a billion, for ratios as for pico-dollars. Sum, smallest and largest are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_GROWTH = math.log(1.005)
_TINY = 1e-6
"""What is nearer to zero counts as zero."""
_HALF = 11_100
"""Classes on each side of zero: enough for 10**18, a million dollars in pico-USD."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Numbers from `low` up to but not including `high`; the last bin of a spread has no upper end."""

    low: float
    high: float | None
    count: int


class Histogram:
    """Takes numbers in, array by array; tells quantiles and bins."""

    __slots__ = ("_classes", "_whole", "count", "largest", "smallest", "total")

    def __init__(self) -> None:
        self._classes = np.zeros(2 * _HALF + 1, dtype=np.int64)
        self._whole = True
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf

    def add(self, values: np.ndarray[Any, Any]) -> None:
        """Count the values; those that are no finite number are left out."""
        numbers = values.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return
        self.count += len(numbers)
        self.total += float(numbers.sum())
        self.smallest = min(self.smallest, float(numbers.min()))
        self.largest = max(self.largest, float(numbers.max()))
        self._whole = self._whole and bool((numbers == np.floor(numbers)).all())
        self._classes += np.bincount(_classes_of(numbers), minlength=len(self._classes))

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the number that `share` of all numbers do not exceed; 0 where there are none."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(share * self.count))
        place = int(np.searchsorted(np.cumsum(self._classes), rank))
        return float(np.clip(_value_of(place), self.smallest, self.largest))

    def bins(self, most: int = 24) -> list[Bin]:
        """Return at most `most` bins of equal, round width; the rare largest numbers share the last one."""
        if not self.count:
            return []
        low, high = self.smallest, self.quantile(0.995)
        step = round_step((high - low) / (most - 1), least=1.0 if self._whole else 0.0)
        start = math.floor(low / step) * step
        edges = max(1, math.floor((high - start) / step) + 1)
        counts = np.zeros(edges, dtype=np.int64)
        used = np.flatnonzero(self._classes)
        values = np.clip([_value_of(int(place)) for place in used], self.smallest, self.largest)
        np.add.at(counts, np.clip(((values - start) / step).astype(np.int64), 0, edges - 1), self._classes[used])
        open_end = self.largest >= start + edges * step
        return [
            Bin(start + step * at, None if open_end and at == edges - 1 else start + step * (at + 1), int(count))
            for at, count in enumerate(counts)
        ]


def _classes_of(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return each number's class: the middle one holds zero, class n above it 1.005**(n-1) to 1.005**n times tiny."""
    sizes = np.maximum(np.abs(numbers), _TINY / 2)
    steps = np.clip(np.floor(np.log(sizes / _TINY) / _GROWTH + 1e-7).astype(np.int64) + 1, 0, _HALF)
    places: np.ndarray[Any, Any] = _HALF + np.sign(numbers).astype(np.int64) * steps
    return places


def _value_of(place: int) -> float:
    """Return the number that stands for a class: the whole number in it, else its middle."""
    steps = abs(place - _HALF)
    if steps == 0:
        return 0.0
    low, high = _TINY * math.exp((steps - 1) * _GROWTH), _TINY * math.exp(steps * _GROWTH)
    whole = math.ceil(low * (1 - 1e-9))
    size = float(whole) if 0 < whole < high else (low + high) / 2
    return math.copysign(size, place - _HALF)


def round_step(wanted: float, least: float = 0.0) -> float:
    """Return the smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … that is not below `wanted` nor `least`."""
    wanted = max(wanted, least)
    if wanted <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= wanted * (1 - 1e-9))
