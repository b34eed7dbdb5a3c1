"""Formats are asserted on every answer, whatever the schema's draft, and sent."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from parquill.answers import Answer, AnswerSchema, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

FORMATS = {
    "email": (["a@b.co", "a.b+c@x.example"], ["nonsense", "a@", "@b.co"]),
    "uri": (["https://a.example/x?q=1#f", "urn:a:b"], ["not a url", "/path", "www.example.com"]),
    "date-time": (["2024-02-29T12:00:00Z"], ["2023-02-29T12:00:00Z", "2024-02-29T25:00:00Z"]),
    "time": (["12:30:00Z", "23:59:59.5+01:00"], ["25:99", "24:00:00Z", "noon"]),
    "ipv4": (["127.0.0.1"], ["999.1.1.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (["::1", "2001:db8::1"], ["12345::", "1.2.3.4"]),
    "hostname": (["a.example", "xn--bcher-kva.example"], ["-_-", "a..b"]),
    "uuid": (["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "x"]),
    "duration": (["P1D", "PT1H30M"], ["soon", "P", "1D"]),
}
DRAFTS = ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#", None]


def shape_of(field: dict[str, Any], draft: str | None = None) -> AnswerSchema:
    said = {"$schema": draft} if draft else {}
    schema = {**said, "type": "object", "properties": {"a": field}, "required": ["a"]}
    return load_answer_schema(OutputSettings(path="out", schema=schema))


def parse(shape: AnswerSchema, value: Any) -> Answer:
    text = json.dumps({"a": value})
    return shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.JSON_SCHEMA)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("draft", DRAFTS)
def test_a_format_is_checked_in_every_draft(name: str, draft: str | None) -> None:
    shape = shape_of({"type": "string", "format": name}, draft)
    good, bad = FORMATS[name]
    assert [value for value in good if not parse(shape, value).ok] == []
    assert [value for value in bad if parse(shape, value).ok] == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("place", ["union", "list", "map", "nullable"])
def test_a_format_is_checked_wherever_it_stands_and_is_sent(name: str, place: str) -> None:
    text = {"type": "string", "format": name}
    field, within = {
        "union": ({"anyOf": [text, {"type": "integer"}]}, lambda value: value),
        "list": ({"type": "array", "items": text}, lambda value: [value]),
        "map": ({"type": "object", "additionalProperties": text}, lambda value: {"k": value}),
        "nullable": ({**text, "type": ["string", "null"]}, lambda value: value),
    }[place]
    shape = shape_of(field)
    good, bad = FORMATS[name]
    assert parse(shape, within(good[0])).ok
    assert not parse(shape, within(bad[0])).ok
    sent = json.dumps(shape.settings_for(OutputMode.JSON_SCHEMA))
    assert f'"format": "{name}"' in sent


@pytest.mark.parametrize(("said", "meant"), [("12:30", "12:30:00Z"), ("12:30:05.5", "12:30:05.5Z")])
def test_a_time_without_a_zone_is_taken_as_utc_and_noted(said: str, meant: str) -> None:
    answer = parse(shape_of({"type": "string", "format": "time"}), said)
    assert (answer.value, answer.repairs) == ({"a": meant}, ("utc:a",))


def test_words_for_nothing_stay_a_text_where_a_text_is_wanted() -> None:
    shape = shape_of({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]})
    assert parse(shape, "n/a").value == {"a": "n/a"}


ADDRESS = {name: shape_of({"type": "string", "format": name}) for name in ("ipv4", "ipv6", "uuid", "date", "time")}


@settings(max_examples=40)
@given(st.ip_addresses(v=4).map(str) | st.text("0123456789.", max_size=12))
def test_python_s_ipaddress_agrees_on_ipv4(text: str) -> None:
    try:
        meant = bool(ipaddress.IPv4Address(text))
    except ValueError:
        meant = False
    assert parse(ADDRESS["ipv4"], text).ok == meant


@settings(max_examples=40)
@given(st.ip_addresses(v=6).map(str) | st.text("0af:", max_size=12))
def test_python_s_ipaddress_agrees_on_ipv6(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
        meant = True
    except ValueError:
        meant = False
    assert parse(ADDRESS["ipv6"], text).ok == meant


@settings(max_examples=40)
@given(
    st.uuids().map(str)
    | st.dates().map(str)
    | st.times(timezones=st.just(dt.UTC)).map(dt.time.isoformat)
    | st.text("0123456789-", max_size=12)
)
def test_python_s_jsonschema_agrees_on_uuids_dates_and_times(text: str) -> None:
    for name in ("uuid", "date", "time"):
        schema = {"type": "string", "format": name}
        meant = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(text)
        answer = parse(ADDRESS[name], text)
        assert (answer.ok and not answer.repairs) == meant
