"""How many requests left within any minute."""

from __future__ import annotations

from collections.abc import Iterable


def most_in_a_minute(sent: Iterable[float]) -> int:
    """The most that any window of sixty seconds holds, whatever its phase."""
    times, most, first = sorted(sent), 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - 60.0:
            first += 1
        most = max(most, last - first + 1)
    return most
