"""Answers read back from a part: times in UTC, values that stand as JSON text, and nulls wherever they are."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from parquill.results.readback import plain_values, reading

TOKYO = dt.timezone(dt.timedelta(hours=9))


def column(values: list[Any], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "+05:30"])
def test_times_are_read_back_in_utc_whatever_zone_they_are_kept_in(zone: str) -> None:
    moment = dt.datetime(2026, 11, 23, 1, 2, 3, tzinfo=TOKYO)
    times = column([moment, None], pa.timestamp("us", tz=zone))
    assert plain_values(times) == ["2026-11-22T16:02:03Z", None]
    nested = column([{"at": [moment, None]}, None], pa.struct([("at", pa.list_(pa.timestamp("us", tz=zone)))]))
    assert plain_values(nested) == [{"at": ["2026-11-22T16:02:03Z", None]}, None]


def test_dates_and_times_of_day_are_read_back_as_iso_text() -> None:
    kind = pa.struct([("day", pa.date32()), ("time", pa.time64("us")), ("at", pa.timestamp("us")), ("n", pa.int64())])
    value = {"day": dt.date(2026, 11, 23), "time": dt.time(1, 2, 3), "at": dt.datetime(2026, 11, 23, 1, 2, 3), "n": 7}
    said = {"day": "2026-11-23", "time": "01:02:03", "at": "2026-11-23T01:02:03", "n": 7}
    assert plain_values(column([value, None], kind)) == [said, None]


@pytest.mark.parametrize(
    ("value", "paths", "read"),
    [
        ('{"a": 1}', [[]], {"a": 1}),
        ({"a": "[1]", "b": "[1]"}, [["a"]], {"a": [1], "b": "[1]"}),
        ({"a": None, "b": "2"}, [["a"], ["b"]], {"a": None, "b": 2}),
        ({"a": ["1", None, "{}"]}, [["a", "[]"]], {"a": [1, None, {}]}),
        ({"a": None}, [["a", "[]"]], {"a": None}),
        ({"a": {"b": "true", "c": "x"}}, [["a", "b"]], {"a": {"b": True, "c": "x"}}),
        ({"a": [{"b": "null"}, None]}, [["a", "[]", "b"]], {"a": [{"b": None}, None]}),
        (None, [["a"], []], None),
    ],
)
def test_json_text_is_read_at_its_path_and_a_null_stays_null(
    value: Any, paths: list[list[str]], read: dict[str, Any] | None
) -> None:
    assert reading(paths)(column([value, None], pa.array([value]).type)) == [read, None]
