"""Days of a zone against its clocks, looked at second by second and by another library."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import zoneinfo
from collections.abc import Iterator

import dateutil.tz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.days import Day, DaySums, day_at, start_of
from tests.lanes import examples, is_thorough

ZONES = sorted(zoneinfo.available_timezones())
HOUR, DAY = 3600, 86_400


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def local_seconds(moment: int, zone: dt.tzinfo) -> int:
    offset = dt.datetime.fromtimestamp(moment, zone).utcoffset()
    assert offset is not None
    return moment + int(offset.total_seconds())


def first_instant(midnight: int, zone: dt.tzinfo) -> int:
    """Look at a zone's clocks until they have reached a midnight (local seconds)."""
    moment = next(t for t in itertools.count(midnight - 16 * HOUR, 900) if local_seconds(t, zone) >= midnight)
    return next(t for t in range(moment - 899, moment + 1) if local_seconds(t, zone) >= midnight)


def dates_near_turns(name: str, rng: random.Random) -> Iterator[int]:
    """Days since 1970 around the turns of a zone's clocks in some year up to 2037, and any one."""
    zone, begin = zoneinfo.ZoneInfo(name), rng.randrange(365, 66 * 365)
    yield begin
    offsets = [local_seconds(t, zone) - t for t in range(begin * DAY, (begin + 365) * DAY, DAY // 2)]
    for number, (before, after) in enumerate(itertools.pairwise(offsets)):
        if before != after:
            yield from range(begin + number // 2 - 1, begin + number // 2 + 3)


def test_a_day_begins_when_the_zones_clocks_first_reach_its_midnight_in_all_zones_until_2037() -> None:
    for name in ZONES[:: 1 if is_thorough() else 5]:
        zone = zoneinfo.ZoneInfo(name)
        days = list(dates_near_turns(name, random.Random(name)))
        for day in random.Random(name).sample(days, min(3, len(days))):
            date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
            assert start_of(date, zone) == first_instant(day * DAY, zone), (name, date)


@settings(max_examples=examples(150))
@given(
    name=st.sampled_from(ZONES),
    wall=st.integers(0, int(at("2037-12-31T00:00"))),
)
def test_every_instant_lies_in_one_day_and_days_follow_each_other(name: str, wall: int) -> None:
    zone = zoneinfo.ZoneInfo(name)
    day = day_at(wall, zone)
    assert day.start <= wall < day.end
    assert day_at(day.start, zone) == day == day_at(day.end - 1, zone)
    assert day_at(day.end, zone).start == day.end
    assert day.end - day.start <= 49 * HOUR


@settings(max_examples=examples(150))
@given(
    name=st.sampled_from(["Europe/Berlin", "Atlantic/Azores", "America/Sao_Paulo", "Asia/Beirut", "Australia/Sydney"]),
    date=st.dates(dt.date(1971, 1, 1), dt.date(2036, 12, 31)),
)
def test_dateutil_finds_the_same_midnights(name: str, date: dt.date) -> None:
    other = dateutil.tz.gettz(name)
    midnight = dateutil.tz.resolve_imaginary(dt.datetime.combine(date, dt.time(), other))
    assert start_of(date, zoneinfo.ZoneInfo(name)) == midnight.timestamp()


@pytest.mark.parametrize(
    ("zone", "wall", "start", "end"),
    [
        # Midnight comes twice: at 01:00 clocks go back to 00:00.
        ("Atlantic/Azores", "2026-10-25T00:30", "2026-10-25T00:00", "2026-10-26T01:00"),
        ("Atlantic/Azores", "2026-10-25T01:30", "2026-10-25T00:00", "2026-10-26T01:00"),
        ("America/Havana", "2026-11-01T05:30", "2026-11-01T04:00", "2026-11-02T05:00"),
        # Midnight is left out: at 00:00 clocks go forward to 01:00.
        ("Asia/Beirut", "2026-03-29T12:00", "2026-03-28T22:00", "2026-03-29T21:00"),
        # At 00:01 clocks went back to 23:01: the hour that follows belongs to the day that had begun.
        ("America/St_Johns", "2006-10-29T03:00", "2006-10-29T02:30", "2006-10-30T03:30"),
        # A date that was no day.
        ("Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00"),
    ],
)
def test_nights_in_which_clocks_are_turned(zone: str, wall: str, start: str, end: str) -> None:
    assert day_at(at(wall), zoneinfo.ZoneInfo(zone)) == Day(at(start), at(end))


def test_every_day_since_1980_begins_on_a_quarter_hour_as_the_ledger_keeps_them() -> None:
    for name in ZONES:
        zone, rng = zoneinfo.ZoneInfo(name), random.Random(name)
        for day in rng.sample(range(3653, 24_800), 8):
            assert day_at(day * DAY, zone).start % 900 == 0, name


def test_a_day_that_comes_again_has_what_it_had_and_all_that_was_counted_since() -> None:
    sums = DaySums(dt.UTC, 2, [(5 * DAY + 10, (1, 10)), (9 * DAY, (2, 20))])
    assert sums.turn(5 * DAY + 100) == (3, 30)
    sums.add(5 * DAY, 4, 40)
    assert sums.turn(6 * DAY) == (2, 20)
    assert sums.turn(9 * DAY + 1) == (2, 20)
    assert sums.turn(10 * DAY) == (0, 0)
    assert sums.turn(5 * DAY) == (7, 70)
