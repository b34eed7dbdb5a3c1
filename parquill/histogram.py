"""Histogram of numbers, in memory that does not grow with their count.

Class borders grow by half a per cent (as in HdrHistogram). So a quantile is right to half a per cent, from one row
to a billion, for ratios as for pico-dollars. Sum, smallest and largest are exact. Only classes that hold a number
take memory. Numbers come one by one (a run's rows), many at once (an estimate's), or as arrays (a report's columns);
numpy is loaded for arrays alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_GROWTH = math.log(1.005)
_TINY = 1e-6
"""What is nearer to zero counts as zero."""
_MOST = 11_100
"""Classes on each side of zero: enough for 10**18, a million dollars in pico-USD."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Numbers from `low` up to but not including `high`; the last bin of a histogram has no upper end."""

    low: float
    high: float | None
    count: int


class Histogram:
    """Counts numbers in classes; tells quantiles and bins."""

    __slots__ = ("_classes", "_whole", "count", "largest", "smallest", "total")

    def __init__(self) -> None:
        """Make a histogram of no numbers."""
        self._classes: Counter[int] = Counter()
        self._whole = True
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf

    def add(self, number: float, times: int = 1) -> None:
        """Count a finite number.

        Args:
            number: the number.
            times: how often it came.
        """
        self._classes[_class_of(number)] += times
        self.count += times
        self.total += number * times
        if not self.smallest <= number <= self.largest:
            self.smallest, self.largest = min(self.smallest, number), max(self.largest, number)
        if self._whole and type(number) is not int:
            self._whole = number == math.floor(number)

    def add_all(self, numbers: Iterable[float]) -> None:
        """Count finite numbers; equal ones are looked up once."""
        for number, times in Counter(numbers).items():
            self.add(number, times)

    def add_array(self, values: np.ndarray[Any, Any]) -> None:
        """Count the values of an array; those that are no finite number are left out."""
        import numpy as np  # noqa: PLC0415 - a run's start does without

        numbers = values.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return
        self.count += len(numbers)
        self.total += float(numbers.sum())
        self.smallest = min(self.smallest, float(numbers.min()))
        self.largest = max(self.largest, float(numbers.max()))
        self._whole = self._whole and bool((numbers == np.floor(numbers)).all())
        sizes = np.maximum(np.abs(numbers), _TINY / 2)
        steps = np.clip(np.floor(np.log(sizes / _TINY) / _GROWTH + 1e-7).astype(np.int64) + 1, 0, _MOST)
        places, counts = np.unique(np.sign(numbers).astype(np.int64) * steps, return_counts=True)
        self._classes.update(dict(zip(places.tolist(), counts.tolist(), strict=True)))

    @property
    def mean(self) -> float:
        """The mean of all numbers; 0 where there are none."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the number that `share` of all numbers do not exceed; 0 where there are none."""
        rank = max(1, math.ceil(share * self.count - 1e-9))
        for place in sorted(self._classes):
            rank -= self._classes[place]
            if rank <= 0:
                return self._value(place)
        return 0.0

    def quantiles(self, shares: Sequence[float], deviation: float = 0.0) -> tuple[int, ...]:
        """Return quantiles as whole numbers, none of them negative.

        Args:
            shares: which quantiles, each from 0 to 1.
            deviation: each number stands for a normal distribution around it, with this standard deviation
                (in the numbers' unit): of what it may turn out to be.

        Returns:
            One number for each share; none where nothing was counted.
        """
        if not self.count:
            return ()
        if deviation <= 0:
            return tuple(round(max(0.0, self.quantile(share))) for share in shares)
        known = sorted((self._value(place), number) for place, number in self._classes.items())
        return tuple(round(max(0.0, _spread_quantile(known, share * self.count, deviation))) for share in shares)

    def bins(self, most: int = 24) -> list[Bin]:
        """Return at most `most` bins of equal, round width; the rare largest numbers share the last one."""
        if not self.count:
            return []
        low, high = self.smallest, self.quantile(0.995)
        step = round_step((high - low) / (most - 1), least=1.0 if self._whole else 0.0)
        start = math.floor(low / step) * step
        edges = max(1, math.floor((high - start) / step) + 1)
        counts = [0] * edges
        for place, number in self._classes.items():
            counts[min(max(int((self._value(place) - start) / step), 0), edges - 1)] += number
        open_end = self.largest >= start + edges * step
        return [
            Bin(start + step * at, None if open_end and at == edges - 1 else start + step * (at + 1), count)
            for at, count in enumerate(counts)
        ]

    def _value(self, place: int) -> float:
        return min(max(_value_of(place), self.smallest), self.largest)


def _class_of(number: float) -> int:
    """Return a number's class: 0 holds zero, class n above it 1.005**(n-1) to 1.005**n times tiny; -n mirrors it."""
    size = abs(number)
    if size < _TINY:
        return 0
    steps = min(math.floor(math.log(size / _TINY) / _GROWTH + 1e-7) + 1, _MOST)
    return steps if number > 0 else -steps


def _value_of(place: int) -> float:
    """Return the number that stands for a class: the whole number in it, else its middle."""
    if place == 0:
        return 0.0
    steps = abs(place)
    low, high = _TINY * math.exp((steps - 1) * _GROWTH), _TINY * math.exp(steps * _GROWTH)
    whole = math.ceil(low * (1 - 1e-9))
    size = float(whole) if 0 < whole < high else (low + high) / 2
    return math.copysign(size, place)


def _spread_quantile(known: Sequence[tuple[float, int]], rank: float, deviation: float) -> float:
    """Return where `rank` numbers lie below, if each is spread normally around its value; found by bisection."""
    low, high = known[0][0] - 6 * deviation, known[-1][0] + 6 * deviation
    for _ in range(40):
        middle = (low + high) / 2
        below = sum(number * _below((middle - value) / deviation) for value, number in known)
        low, high = (middle, high) if below < rank else (low, middle)
    return (low + high) / 2


def _below(sigmas: float) -> float:
    """The share of a normal distribution below so many standard deviations."""
    return 0.5 * math.erfc(-sigmas / math.sqrt(2))


def round_step(wanted: float, least: float = 0.0) -> float:
    """Return the smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … that is not below `wanted` nor `least`."""
    wanted = max(wanted, least)
    if wanted <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= wanted * (1 - 1e-9))
