"""Calendar days of a time zone as intervals of unix time, and sums that start anew each day.

Pure: the time comes in as an argument. A day begins at the first instant at which the zone's local
time has reached midnight of its date, and ends where the next begins. So every instant lies in
exactly one day, also in the nights in which clocks are turned: a midnight that comes twice (Havana,
the Azores) begins its day the first time, one that is left out begins it at the turn, and a date
that a zone never had (Samoa, 2011-12-30) is no day at all.

Clocks of machines are set while they run. `DaySums` never forgets what was counted on a day: where
the clock goes back, the day that comes again has what it had, and all that was counted under later
dates as well, since it was counted before now.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

UTC_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Day:
    """From `start` to before `end`, in unix seconds."""

    start: float
    end: float


def day_at(wall: float, zone: dt.tzinfo) -> Day:
    """Return the day of `zone` that `wall` (unix seconds) lies in."""
    if zone is dt.UTC:
        start = wall // UTC_DAY * UTC_DAY
        return Day(start, start + UTC_DAY)
    date = dt.datetime.fromtimestamp(wall, zone).date()
    start, end = start_of(date, zone), start_of(date + dt.timedelta(days=1), zone)
    while end <= wall:  # the hour before a midnight that comes twice belongs to the later day
        date += dt.timedelta(days=1)
        start, end = end, start_of(date + dt.timedelta(days=1), zone)
    return Day(start, end)


def start_of(date: dt.date, zone: dt.tzinfo) -> float:
    """Return when a date begins in `zone`: unix seconds of the first instant that has reached its midnight."""
    midnight = dt.datetime.combine(date, dt.time())
    first = midnight.replace(tzinfo=zone).timestamp()
    second = midnight.replace(tzinfo=zone, fold=1).timestamp()
    if second >= first:
        return first
    # Midnight is left out. `second` lies before the turn of the clocks, `first` at or after it.
    before, reached = int(second), int(first)
    while reached - before > 1:
        middle = (before + reached) // 2
        if dt.datetime.fromtimestamp(middle, zone).replace(tzinfo=None) >= midnight:
            reached = middle
        else:
            before = middle
    return float(reached)


class DaySums:
    """Amounts by the day on which they were counted, and how much of them counts on the present day."""

    __slots__ = ("_by_start", "_columns", "_earlier", "_zone", "day")

    def __init__(self, zone: dt.tzinfo, columns: int, earlier: Iterable[tuple[float, tuple[int, ...]]] = ()) -> None:
        """Begin with what was counted before: pairs of a time (unix seconds) and `columns` amounts."""
        self._zone = zone
        self._columns = columns
        self._by_start: dict[float, list[int]] = {}
        self.day: Day | None = None
        """The day that was turned to last."""
        for wall, amounts in earlier:
            self.add(day_at(wall, zone).start, *amounts)

    def is_over(self, wall: float) -> bool:
        """Whether another day than the present one has come, or none was turned to yet."""
        return self.day is None or not self.day.start <= wall < self.day.end

    def turn(self, wall: float) -> tuple[int, ...]:
        """Make the day of `wall` the present one; return what counts on it: its own amounts and all of later days."""
        self.day = day_at(wall, self._zone)
        counted = [amounts for start, amounts in self._by_start.items() if start >= self.day.start]
        return tuple(sum(column) for column in zip(*counted, strict=True)) or (0,) * self._columns

    def add(self, start: float, *amounts: int) -> None:
        """Count amounts on the day that begins at `start`."""
        known = self._by_start.setdefault(start, [0] * self._columns)
        for column, amount in enumerate(amounts):
            known[column] += amount
