"""Dates and times as models write them, read only where there is one way to read them.

`03/04/2024` is March or April, so it is no date here; `25/12/2024` can only be one. The same
for two-digit years and for a date without a day. A time without a zone is taken as UTC, which
the caller notes as a repair.
"""

from __future__ import annotations

import datetime as dt
import re

_MONTHS = {
    name: number
    for number, name in enumerate(
        (
            "january", "february", "march", "april", "may", "june",
            "july", "august", "september", "october", "november", "december",
        ),
        start=1,
    )
}  # fmt: skip
_MONTHS |= {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
_COMPACT = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)")
_DAY_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+([a-z]+)\.?,?[\s-]+(\d{4})")
_MONTH_DAY = re.compile(r"([a-z]+)\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_WEEKDAY = re.compile(r"(mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[t ]00:00(?::00(?:\.0+)?)?z?")
_TIME = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:t|\s+)(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?\s*(z|utc|gmt|[+-]\d\d:?\d\d)?"
)


def read_date(text: str) -> dt.date | None:
    """Return the one day that `text` can mean, or None."""
    text = " ".join(text.lower().split())
    named = _WEEKDAY.match(text)
    day = _read_day(text[named.end() :] if named else text)
    if named and day and _WEEKDAYS[day.weekday()] != named[1][:3]:
        return None
    return day


def read_datetime(text: str) -> tuple[dt.datetime, bool] | None:
    """Return the moment in UTC and whether its zone was said; None where there is no one reading.

    Digits of a second beyond microseconds are cut: the column holds no more.
    """
    match = _TIME.fullmatch(text.strip().lower())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        moment = dt.datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, tzinfo=_zone(zone)
        )
        return moment.astimezone(dt.UTC), zone is not None
    except (ValueError, OverflowError):
        return None


def iso_datetime(moment: dt.datetime) -> str:
    """Return the one way a moment is written inside: ISO 8601 in UTC, ending in `Z`."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _zone(text: str | None) -> dt.timezone:
    if text is None or text in ("z", "utc", "gmt"):
        return dt.UTC
    digits = text[1:].replace(":", "")
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return dt.timezone(-offset if text[0] == "-" else offset)


def _read_day(text: str) -> dt.date | None:
    if match := _YEAR_FIRST.fullmatch(text):
        return _day(match[1], match[3], match[4])
    if match := _COMPACT.fullmatch(text):
        return _day(match[1], match[2], match[3])
    if match := _YEAR_LAST.fullmatch(text):
        return _either_order(int(match[1]), int(match[3]), match[4])
    if match := _DAY_MONTH.fullmatch(text):
        return _day(match[3], _MONTHS.get(match[2], 0), match[1])
    if match := _MONTH_DAY.fullmatch(text):
        return _day(match[3], _MONTHS.get(match[1], 0), match[2])
    if match := _MIDNIGHT.fullmatch(text):
        return _day(*match[1].split("-"))
    return None


def _either_order(first: int, second: int, year: str) -> dt.date | None:
    """Day first or month first: only where one of them cannot be a month, or both are equal."""
    if first <= 12 and second <= 12 and first != second:
        return None
    return _day(year, second, first) if second <= 12 else _day(year, first, second)


def _day(year: str, month: str | int, day: str | int) -> dt.date | None:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        return None
