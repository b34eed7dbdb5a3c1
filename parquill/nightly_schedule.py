"""Dates and deadlines of jobs that run every night; pure, in the time zone that the job names.

A night's date is the date at which it was due, not at which it began: a run that waited for its
worker past midnight still asks for the file of the evening. Its deadline is the first `until`
after it was due, so that a run which starts after that stops at once, and does not go on through
the day.
"""

from __future__ import annotations

import datetime as dt

from parquill.errors import UsageError
from parquill.job import NightlySettings, zone

MAX_NIGHTS = 366


def date_of(settings: NightlySettings, due: dt.datetime) -> dt.date:
    """Return the date of the night that was due at `due` (with a time zone of its own)."""
    return due.astimezone(zone(settings.timezone)).date()


def deadline_of(settings: NightlySettings, due: dt.datetime) -> float | None:
    """Return when to stop, in unix seconds: the first `until` after `due`; None without one.

    Clocks are turned in the zone's own way: an `until` that a spring night leaves out is met as
    long after midnight as on any other night; one that an autumn night has twice is met the first
    time that comes after `due`.
    """
    if settings.until is None:
        return None
    hour, minute = map(int, settings.until.split(":"))
    here = zone(settings.timezone)
    today = due.astimezone(here).date()
    moments = [
        moment
        for days in range(-1, 3)
        for moment in _moments(dt.datetime.combine(today + dt.timedelta(days=days), dt.time(hour, minute)), here)
    ]
    return min(moment for moment in moments if moment > due.timestamp())


def _moments(local: dt.datetime, here: dt.tzinfo) -> tuple[float, ...]:
    """When a zone's clocks show a time: twice in an hour that is repeated; once, by the old offset, in one left out."""
    first = local.replace(tzinfo=here).timestamp()
    second = local.replace(tzinfo=here, fold=1).timestamp()
    return (first, second) if second > first else (first,)


def backfill(first: str, last: str | None) -> tuple[dt.date, ...]:
    """Return every date from `first` to `last`, both counted; `last` is `first` where it is not given.

    Raises `UsageError` for what is no date, a range that runs backwards, or more than `MAX_NIGHTS`.
    """
    begin = _date(first)
    end = begin if last is None else _date(last)
    days = (end - begin).days
    if days < 0:
        raise UsageError(f"backfill: {end} is before {begin}; give the earlier date first")
    if days >= MAX_NIGHTS:
        raise UsageError(f"backfill: {begin} to {end} are {days + 1} nights; at most {MAX_NIGHTS} go in one run")
    return tuple(begin + dt.timedelta(days=number) for number in range(days + 1))


def _date(value: str) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise UsageError(f"backfill: {value!r} is no date; write it like 2026-11-23") from None
