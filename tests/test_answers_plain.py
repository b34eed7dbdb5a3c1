"""Answers without a schema, loops, and dates."""

from __future__ import annotations

import datetime as dt

import pytest

from parquill.answers import Answer, OutputMode, load_answer_schema
from parquill.answers.dates import read_date, read_datetime
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

SHAPE = load_answer_schema(OutputSettings(path="out"))
OBJECT = load_answer_schema(
    OutputSettings(
        path="out",
        schema={"type": "object", "properties": {"caption": {"type": "string"}}, "required": ["caption"]},
    )
)


def parse(text: str, reason: str | None = "stop", shape: object = SHAPE) -> Answer:
    completion = ChatCompletion(None, None, None, text, (), reason, None)
    return shape.parse(completion, OutputMode.TEXT)  # type: ignore[attr-defined, no-any-return] # either shape


@pytest.mark.parametrize(
    "text",
    [
        "A cat sleeps on a windowsill.",
        "قطة نائمة على حافة النافذة\u200f.",
        "一只猫睡在窗台上。",
        "👩‍👩‍👧‍👦 and 🇩🇪 and ❤️",
        "e\u0301 stays as it is, and so does é",
        '{"not": "parsed"}',
        "first\n\n\tsecond",
        "\ufeff",
    ],
)
def test_every_language_is_kept_character_for_character(text: str) -> None:
    answer = parse(f"  \n{text}\n\n")
    assert (answer.value, answer.repairs, answer.text) == (text, (), f"  \n{text}\n\n")
    assert SHAPE.to_arrow([answer.value, None]).to_pylist() == [text, None]


def test_a_missing_finish_reason_is_no_fault() -> None:
    assert parse("A cat.", None).ok


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_an_empty_text_is_a_fault(text: str) -> None:
    assert (parse(text).fault, parse(text).ok) == ("empty", False)


def test_a_text_that_was_cut_off_is_truncated_and_kept() -> None:
    answer = parse("A cat sleeps on a", "length")
    assert (answer.ok, answer.value, answer.fault) == (False, None, "truncated")
    assert answer.text == "A cat sleeps on a"


@pytest.mark.parametrize(
    ("text", "limit", "value"),
    [
        ("A cat sleeps on a windowsill.", 40, "A cat sleeps on a windowsill."),
        ("A cat sleeps on a windowsill.", 29, "A cat sleeps on a windowsill."),
        ("A cat sleeps on a windowsill.", 19, "A cat sleeps on a"),
        ("A cat sleeps on a windowsill.", 17, "A cat sleeps on a"),
        ("一只猫睡在窗台上。", 4, "一只猫睡"),
        ("ab👩‍👩‍👧‍👦cd", 5, "ab"),
        ("abe\u0301", 3, "ab"),
        ("abc🇩🇪", 4, "abc"),
        ("ab👍🏽", 3, "ab"),
        ("e\u0301", 1, "e"),
    ],
)
def test_a_text_over_max_chars_is_cut_between_words_and_never_inside_a_letter(
    text: str, limit: int, value: str
) -> None:
    shape = load_answer_schema(OutputSettings(path="out", max_chars=limit))
    answer = parse(text, shape=shape)
    assert answer.value == value
    assert answer.repairs == (() if value == text else ("cut",))
    assert answer.text == text


@pytest.mark.parametrize(
    "text",
    [
        '{"caption": "A cat",\n' + " \n" * 60,
        "{" + " " * 200,
        '{"caption": "The sky is amber' + " own" * 60,
        '{"caption": "' + "a red car and " * 12 + "a re",
        '{"tags": [' + '"red", ' * 40,
        '{"caption": "x' + "=" * 200,
        "\n" * 300,
    ],
)
def test_a_loop_up_to_the_token_limit_is_told_apart_from_a_long_answer(text: str) -> None:
    for shape in (SHAPE, OBJECT):
        answer = parse(text, "length", shape)
        assert (answer.ok, answer.fault) == (False, "loop")
        assert len(answer.errors) == 1


@pytest.mark.parametrize("text", ["A red car and " * 20, "猫が好き。" * 40, "The cat is here. " + "ha" * 100])
def test_a_loop_that_ended_by_itself_is_still_a_loop(text: str) -> None:
    assert parse(text).fault == "loop"
    assert parse(f'{{"caption": "{text}"}}', shape=OBJECT).fault == "loop"


@pytest.mark.parametrize(
    "text",
    [
        "Chapter one " + "." * 300 + " 7",
        "Signature: " + "_" * 300,
        "| a | b |\n" + "| --- | --- |\n" * 3 + "| 1 | 2 |\n" * 3,
        "0,0,0,0\n" * 80,
        "Row, row, row your boat, gently down the stream. " * 3,
        "no no no no no no",
    ],
)
def test_text_with_rows_of_marks_or_a_refrain_is_no_loop(text: str) -> None:
    assert parse(text).ok


def test_a_long_answer_that_was_cut_off_is_no_loop() -> None:
    text = " ".join(f"The {i}th thing on the shelf is a {i * 7 % 13} cm tall figure." for i in range(60))
    assert parse(text, "length").fault == "truncated"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-05-03", (2024, 5, 3)),
        (" 2024.5.3 ", (2024, 5, 3)),
        ("20240503", (2024, 5, 3)),
        ("3 May 2024", (2024, 5, 3)),
        ("3rd of May, 2024", (2024, 5, 3)),
        ("03-May-2024", (2024, 5, 3)),
        ("May 3, 2024", (2024, 5, 3)),
        ("Sept. 3 2024", (2024, 9, 3)),
        ("Friday, 3 May 2024", (2024, 5, 3)),
        ("Fri. May 3rd, 2024", (2024, 5, 3)),
        ("13/05/2024", (2024, 5, 13)),
        ("05/13/2024", (2024, 5, 13)),
        ("05/05/2024", (2024, 5, 5)),
        ("2024-05-03T00:00", (2024, 5, 3)),
        ("05/03/2024", None),
        ("5.3.2024", None),
        ("3/5-2024", None),
        ("13/13/2024", None),
        ("Saturday, 3 May 2024", None),
        ("3 Mai 2024", None),
        ("May 2024", None),
        ("2024", None),
        ("2024-05-03T10:00", None),
        ("29 February 2023", None),
        ("0000-01-01", None),
        ("", None),
    ],
)
def test_a_date_is_read_only_where_it_can_be_one_day(text: str, day: tuple[int, int, int] | None) -> None:
    assert read_date(text) == (dt.date(*day) if day else None)


@pytest.mark.parametrize(
    ("text", "iso", "said"),
    [
        ("2024-05-03T10:20:30Z", "2024-05-03T10:20:30+00:00", True),
        ("2024-05-03t10:20:30z", "2024-05-03T10:20:30+00:00", True),
        ("2024-05-03 10:20", "2024-05-03T10:20:00+00:00", False),
        ("2024/5/3 10:20 UTC", "2024-05-03T10:20:00+00:00", True),
        ("2024-05-03T10:20:30.1234567+05:30", "2024-05-03T04:50:30.123456+00:00", True),
        ("2024-05-03T10:20:30-0130", "2024-05-03T11:50:30+00:00", True),
        ("0001-01-01T00:00:00+01:00", None, True),
        ("9999-12-31T23:59:59-01:00", None, True),
        ("2024-05-03T23:59:60Z", None, True),
        ("2024-05-03T25:00:00Z", None, True),
        ("2024-05-03T10:20:30+99:00", None, True),
        ("2024-05-03", None, True),
        ("10:20", None, True),
    ],
)
def test_a_moment_is_read_in_utc(text: str, iso: str | None, said: bool) -> None:
    read = read_datetime(text)
    assert (None if read is None else (read[0].isoformat(), read[1])) == (None if iso is None else (iso, said))


def test_a_loop_before_a_mark_that_ends_the_turn_is_told_as_a_loop() -> None:
    text = "over and over " * 40 + "<end_of_turn>"
    shape = load_answer_schema(OutputSettings(path="out"))
    answer = shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.TEXT)
    assert (answer.fault, len(answer.errors)) == ("loop", 1)
