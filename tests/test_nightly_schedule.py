"""Dates and deadlines of nightly jobs, over midnight and over the nights when clocks are turned."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.errors import UsageError
from parquill.job import NightlySettings
from parquill.nightly_schedule import backfill, date_of, deadline_of
from tests.lanes import examples

BERLIN = ZoneInfo("Europe/Berlin")
SIX = NightlySettings(until="06:00", timezone="Europe/Berlin")


def at(text: str, zone: dt.tzinfo = BERLIN) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("due", "deadline"),
    [
        ("2026-11-23T22:00", "2026-11-24T06:00"),
        ("2026-11-24T02:00", "2026-11-24T06:00"),
        ("2026-11-24T06:00", "2026-11-25T06:00"),
        ("2026-12-31T23:59", "2027-01-01T06:00"),
    ],
)
def test_the_deadline_is_the_first_until_after_the_run_was_due(due: str, deadline: str) -> None:
    assert deadline_of(SIX, at(due)) == at(deadline).timestamp()


def test_a_late_start_does_not_move_the_deadline_to_the_next_morning() -> None:
    due = at("2026-11-23T22:00")
    begun = at("2026-11-24T06:10")
    deadline = deadline_of(SIX, due)
    assert deadline is not None
    assert deadline < begun.timestamp()


@pytest.mark.parametrize(("due", "hours"), [("2026-03-28T22:00", 7.0), ("2026-10-24T22:00", 9.0)])
def test_a_night_in_which_clocks_are_turned_ends_at_the_same_hour(due: str, hours: float) -> None:
    deadline = deadline_of(SIX, at(due))
    assert deadline is not None
    assert (deadline - at(due).timestamp()) / 3600 == hours


def test_an_hour_that_a_spring_night_leaves_out_still_ends_it() -> None:
    half_past_two = NightlySettings(until="02:30", timezone="Europe/Berlin")
    due = at("2026-03-28T22:00")
    assert deadline_of(half_past_two, due) == due.timestamp() + 4.5 * 3600


@settings(max_examples=examples(60))
@given(
    due=st.datetimes(dt.datetime(2025, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)),
    minute=st.integers(0, 24 * 60 - 1),
    name=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_a_deadline_is_never_before_the_run_was_due_and_at_most_a_day_after(
    due: dt.datetime, minute: int, name: str
) -> None:
    nightly = NightlySettings(until=f"{minute // 60:02d}:{minute % 60:02d}", timezone=name)
    deadline = deadline_of(nightly, due)
    assert deadline is not None
    assert 0 < deadline - due.timestamp() <= 25 * 3600


def test_without_until_a_night_has_no_end() -> None:
    assert deadline_of(NightlySettings(), at("2026-11-23T22:00")) is None


def test_the_date_is_that_of_the_zone_at_the_time_the_run_was_due() -> None:
    assert date_of(SIX, at("2026-11-23T23:30", dt.UTC)) == dt.date(2026, 11, 24)
    assert date_of(NightlySettings(), at("2026-11-24T00:30")) == dt.date(2026, 11, 23)


def test_a_backfill_counts_both_ends() -> None:
    assert backfill("2026-02-27", "2026-03-01") == tuple(
        dt.date.fromisoformat(day) for day in ("2026-02-27", "2026-02-28", "2026-03-01")
    )
    assert backfill("2026-02-27", None) == (dt.date(2026, 2, 27),)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2026-03-02", "2026-03-01", "2026-03-01 is before 2026-03-02"),
        ("yesterday", None, "'yesterday' is no date"),
        ("2024-01-01", "2026-01-01", "732 nights"),
    ],
)
def test_a_range_that_is_none_is_refused_in_words(first: str, last: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        backfill(first, last)


@pytest.mark.parametrize(
    ("due", "until", "deadline"),
    [
        # 00:30 comes at 00:30 and at 01:30 UTC; the run was due between them.
        ("2026-10-25T00:45", "00:30", "2026-10-25T01:30"),
        ("2026-10-25T00:15", "00:30", "2026-10-25T00:30"),
        ("2026-10-25T01:30", "00:30", "2026-10-26T01:30"),
        ("2026-10-24T22:00", "00:30", "2026-10-25T00:30"),
    ],
)
def test_in_an_hour_that_is_repeated_a_night_ends_the_next_time_that_its_hour_comes(
    due: str, until: str, deadline: str
) -> None:
    nightly = NightlySettings(until=until, timezone="Atlantic/Azores")
    assert deadline_of(nightly, at(due, dt.UTC)) == at(deadline, dt.UTC).timestamp()


@settings(max_examples=examples(200))
@given(
    due=st.datetimes(dt.datetime(2025, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC)),
    minute=st.integers(0, 24 * 60 - 1),
    name=st.sampled_from(["UTC", "Atlantic/Azores", "America/Havana", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_a_deadline_is_the_first_minute_at_which_the_zones_clocks_show_until(
    due: dt.datetime, minute: int, name: str
) -> None:
    """Against the clocks themselves, read minute by minute; an hour that is left out shows nothing."""
    until = f"{minute // 60:02d}:{minute % 60:02d}"
    begin = int(due.timestamp() // 60) * 60 + 60
    shown = next(
        (
            at
            for at in range(begin, begin + 26 * 3600, 60)
            if f"{dt.datetime.fromtimestamp(at, ZoneInfo(name)):%H:%M}" == until
        ),
        None,
    )
    deadline = deadline_of(NightlySettings(until=until, timezone=name), due)
    assert deadline is not None
    if shown is not None and shown - begin <= 23 * 3600:
        assert deadline == shown
