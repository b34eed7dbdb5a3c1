"""What models write instead of clean JSON: each text gives its right value or is refused, never a wrong value."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from parquill.answers import Answer, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "price": {"type": "number"},
        "count": {"type": "integer"},
        "kind": {"enum": ["book", "film", "music album"]},
        "sold": {"type": "boolean"},
        "released": {"type": "string", "format": "date"},
        "seen": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "maker": {"type": "object", "properties": {"name": {"type": "string"}, "born": {"type": "integer"}}},
    },
    "required": ["title", "tags"],
}
SHAPE = load_answer_schema(OutputSettings(path="out", schema=SCHEMA))

RED = {"title": "Red", "tags": ["a", "b"]}
"""What most texts below mean."""


def parse(text: str, finish_reason: str | None = "stop") -> Answer:
    completion = ChatCompletion("gen-1", "google/gemma-3-4b-it", "DeepInfra", text, (), finish_reason, None)
    return SHAPE.parse(completion, OutputMode.PROMPT)


def red(**more: Any) -> dict[str, Any]:
    return RED | more


MEANT: list[tuple[str, str, dict[str, Any]]] = [
    ("clean", '{"title": "Red", "tags": ["a", "b"]}', RED),
    ("blank lines around", '\n\n  {"title": "Red", "tags": ["a", "b"]}  \n\n', RED),
    ("fence", '```json\n{"title": "Red", "tags": ["a", "b"]}\n```', RED),
    ("fence without a language", '```\n{"title": "Red", "tags": ["a", "b"]}\n```', RED),
    ("fence in capitals", '```JSON\n{"title": "Red", "tags": ["a", "b"]}\n```', RED),
    ("fence that is never closed", '```json\n{"title": "Red", "tags": ["a", "b"]}', RED),
    ("fence inside a fence", '```\n```json\n{"title": "Red", "tags": ["a", "b"]}\n```\n```', RED),
    ("tildes", '~~~json\n{"title": "Red", "tags": ["a", "b"]}\n~~~', RED),
    ("prose before", 'Sure! Here is the JSON you asked for:\n\n{"title": "Red", "tags": ["a", "b"]}', RED),
    ("prose after", '{"title": "Red", "tags": ["a", "b"]}\n\nLet me know if you need anything else!', RED),
    ("prose and a fence", 'Okay.\n```json\n{"title": "Red", "tags": ["a", "b"]}\n```\nI hope it\'s right.', RED),
    ("prose with braces", 'I filled the {placeholders} in: {"title": "Red", "tags": ["a", "b"]}', RED),
    ("prose with an apostrophe", 'Here\'s what I\'ve got: {"title": "Red", "tags": ["a", "b"]}', RED),
    ("markdown heading", '## Answer\n\n{"title": "Red", "tags": ["a", "b"]}', RED),
    ("object around", '{"answer": {"title": "Red", "tags": ["a", "b"]}}', RED),
    ("list around", '[{"title": "Red", "tags": ["a", "b"]}]', RED),
    ("byte order mark", '\ufeff{"title": "Red", "tags": ["a", "b"]}', RED),
    ("byte order mark in a fence", '```json\n\ufeff{"title": "Red", "tags": ["a", "b"]}\n```', RED),
    ("zero-width space", '\u200b{"title": "Red", "tags": ["a", "b"]}', RED),
    ("JSON in a string", '"{\\"title\\": \\"Red\\", \\"tags\\": [\\"a\\", \\"b\\"]}"', RED),
    ("JSON in a string in a fence", '```json\n"{\\"title\\": \\"Red\\", \\"tags\\": [\\"a\\", \\"b\\"]}"\n```', RED),
    ("JSON in a string without its marks", '{\\"title\\": \\"Red\\", \\"tags\\": [\\"a\\", \\"b\\"]}', RED),
    ("single quotation marks of books", "{‘title’: ‘Red’, ‘tags’: [‘a’, ‘b’]}", RED),
    ("trailing comma in the object", '{"title": "Red", "tags": ["a", "b"],}', RED),
    ("trailing comma in the list", '{"title": "Red", "tags": ["a", "b", ], }', RED),
    ("comma and bracket in a string", '{"title": "Red, ]", "tags": ["a", "b",]}', red(title="Red, ]")),
    ("single quotes", "{'title': 'Red', 'tags': ['a', 'b']}", RED),
    ("single quotes and an escape", "{'title': 'Bob\\'s', 'tags': ['a', 'b']}", red(title="Bob's")),
    ("single quotes and an apostrophe", "{'title': \"Bob's\", 'tags': ['a', 'b']}", red(title="Bob's")),
    ("python's literals", "{'title': 'Red', 'tags': ['a', 'b'], 'sold': True}", red(sold=True)),
    ("python's None", "{'title': 'Red', 'tags': ['a', 'b'], 'price': None}", red(price=None)),
    ("python's words in JSON", '{"title": "Red", "tags": ["a", "b"], "sold": False}', red(sold=False)),
    ("a tuple", "{'title': 'Red', 'tags': ('a', 'b')}", RED),
    ("bare keys", '{title: "Red", tags: ["a", "b"]}', RED),
    ("javascript", "{title: 'Red', tags: ['a', 'b'], sold: true, price: null}", red(sold=True, price=None)),
    ("smart quotes", "{“title”: “Red”, “tags”: [“a”, “b”]}", RED),
    ("smart quotes as text", '{"title": "The “Red” one", "tags": ["a", "b"],}', red(title="The “Red” one")),
    ("line comments", '{"title": "Red", // the title\n "tags": ["a", "b"]}', RED),
    ("block comment", '{"title": "Red", /* all tags */ "tags": ["a", "b"]}', RED),
    ("python's comment", '{"title": "Red", # the title\n "tags": ["a", "b"]}', RED),
    ("an address is no comment", '{"title": "http://x.org/a", "tags": ["a", "b"],}', red(title="http://x.org/a")),
    ("line break in a string", '{"title": "Red\nand blue", "tags": ["a", "b"]}', red(title="Red\nand blue")),
    ("tab in a string", '{"title": "Red\tone", "tags": ["a", "b"]}', red(title="Red\tone")),
    ("missing comma between lines", '{"title": "Red"\n "tags": ["a", "b"]}', RED),
    ("quotes inside quotes", '{"title": "The "Red" one", "tags": ["a", "b"]}', red(title='The "Red" one')),
    ("one bracket too many", '{"title": "Red", "tags": ["a", "b"]}}', RED),
    ("same object twice", '{"title": "Red", "tags": ["a", "b"]}\n{"title": "Red", "tags": ["a", "b"]}', RED),
    ("key twice, same value", '{"title": "Red", "title": "Red", "tags": ["a", "b"]}', RED),
    ("only one of two objects fits", '{"thought": "hm"}\n{"title": "Red", "tags": ["a", "b"]}', RED),
    ("keys in capitals", '{"Title": "Red", "TAGS": ["a", "b"]}', RED),
    (
        "everything at once",
        "Sure!\n```json\n{'title': 'Red', 'tags': ['a', 'b',], 'kind': 'Book', 'sold': True,}\n```\nDone.",
        red(kind="book", sold=True),
    ),
    ("another language", '```json\n{"title": "أحمر 红 🟥", "tags": ["a", "b"]}\n```', red(title="أحمر 红 🟥")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [case[1:] for case in MEANT], ids=[case[0] for case in MEANT])
def test_a_damaged_text_with_one_meaning_is_repaired_for_free(text: str, value: dict[str, Any]) -> None:
    answer = parse(text)
    assert answer.errors == ()
    assert answer.value == value
    assert answer.text == text


MEANT_VALUES: list[tuple[str, str, str, Any]] = [
    ("number in a string", "price", '"12.50"', 12.5),
    ("integer in a string", "count", '" 3 "', 3),
    ("integer with a zero fraction", "count", '3.0', 3),
    ("integer that a float rounds", "count", '9007199254740993.0', 2**53 + 1),
    ("integer with an exponent", "count", '1e18', 10**18),
    ("boolean in a string", "sold", '"True"', True),
    ("yes", "sold", '"yes"', True),
    ("null in a string", "price", '"N/A"', None),
    ("enum in capitals", "kind", '"BOOK"', "book"),
    ("enum with spaces", "kind", '" film "', "film"),
    ("enum with an underscore", "kind", '"Music_Album"', "music album"),
    ("date in words", "released", '"3 May 2024"', "2024-05-03"),
    ("american date", "released", '"May 3rd, 2024"', "2024-05-03"),
    ("date with slashes", "released", '"2024/5/3"', "2024-05-03"),
    ("day that is no month", "released", '"25.12.2024"', "2024-12-25"),
    ("date of eight digits", "released", '"20240503"', "2024-05-03"),
    ("date at midnight", "released", '"2024-05-03T00:00:00Z"', "2024-05-03"),
    ("no date", "released", '"none"', None),
    ("time without a zone", "seen", '"2024-05-03 10:20"', "2024-05-03T10:20:00Z"),
    ("time with an offset", "seen", '"2024-05-03T10:20:00+02:00"', "2024-05-03T08:20:00Z"),
]  # fmt: skip
"""What stands in one key of an answer, as JSON text, and what it means."""


@pytest.mark.parametrize(("key", "raw", "value"), [case[1:] for case in MEANT_VALUES], ids=[c[0] for c in MEANT_VALUES])
def test_a_value_in_another_form_with_one_meaning_is_repaired_for_free(key: str, raw: str, value: Any) -> None:
    answer = parse(f'{{"title": "Red", "tags": ["a", "b"], "{key}": {raw}}}')
    assert answer.errors == ()
    assert answer.value == red(**{key: value})
    assert type(answer.value[key]) is type(value)


REFUSED = [
    ("nothing", ""),
    ("only white space", " \n\n "),
    ("only prose", "I am sorry, I cannot see any picture."),
    ("null", "null"),
    ("a list of words", '["Red", "a", "b"]'),
    ("an empty object", "{}"),
    ("required key missing", '{"title": "Red"}'),
    ("key twice, other value", '{"title": "Red", "title": "Blue", "tags": ["a", "b"]}'),
    ("key twice, other value, escaped", '{"title": "Red", "t\\u0069tle": "Blue", "tags": ["a", "b"]}'),
    ("key twice in damaged JSON", "{'title': 'Red', 'title': 'Blue', 'tags': ['a', 'b']}"),
    ("two different objects", '{"title": "Red", "tags": ["a"]}\n{"title": "Blue", "tags": ["a"]}'),
    ("a list of two different objects", '[{"title": "Red", "tags": ["a"]}, {"title": "Blue", "tags": ["a"]}]'),
    ("a second, damaged object", '{"title": "Red", "tags": ["a"]}\n{"title": "Blue", "tags": ['),
    ("half an object", '{"title": "Red", "tags": ["a", "b'),
    ("end inside a list", '{"title": "Red", "tags": ["a", "b"'),
    ("end after a comma", '{"title": "Red", "tags": ["a", "b"],'),
    ("end where optional keys may be missing", '{"title": "Red", "tags": ["a", "b"]'),
    ("end inside a number", '{"title": "Red", "tags": ["a", "b"], "count": 1'),
    ("end after a colon", '{"title": "Red", "tags":'),
    ("beginning missing", '"title": "Red", "tags": ["a", "b"]}'),
    ("tail of an object with a whole one inside", 'title": "x", "maker": {"title": "Red", "tags": ["a", "b"]}}'),
    ("quotation mark missing at an end", '{"title": "Red, "tags": ["a", "b"]}'),
    ("quotation mark missing in a list", '{"title": "Red", "tags": ["a, "b"]}'),
    ("quotation mark too many", '{"title": "Red"", "tags": ["a", "b"]}'),
    ("quotation marks of two kinds", '{"title": \'Red", "tags": ["a", "b"]}'),
    ("quotes inside quotes that could end it", '{"title": "The "Red", blue", "tags": ["a", "b"]}'),
    ("bare text", '{"title": Red, "tags": ["a", "b"]}'),
    ("missing comma on one line", '{"title": "Red" "tags": ["a", "b"]}'),
    ("missing comma between strings of a list", "{'title': 'Red', 'tags': ['a' 'b']}"),
    ("semicolon for a colon", '{"title"; "Red", "tags": ["a", "b"]}'),
    ("left out", '{"title": "Red", "tags": ["a", ...]}'),
    ("comment with a value in it", '{"title": "Red", "tags": ["a", // "x",\n "b"]}'),
    ("windows path with bare backslashes", '{"title": "C:\\path\\new", "tags": ["a", "b"],}'),
    ("half a surrogate pair", '{"title": "\\ud83d", "tags": ["a", "b"]}'),
    ("code", '{"title": open("/etc/passwd").read(), "tags": ["a", "b"]}'),
    ("number for a string", '{"title": 7, "tags": ["a", "b"]}'),
    ("string for a list", '{"title": "Red", "tags": "a, b"}'),
    ("null where none is allowed", '{"title": null, "tags": ["a", "b"]}'),
    ("unknown key beside a missing one", '{"title": "Red", "tags": ["a", "b"], "cost": 3}'),
    ("wrapped in a draft", '{"draft": {"title": "Red", "tags": ["a", "b"]}}'),
    ("the schema itself", '{"type": "object", "properties": {"title": {"type": "string"}}}'),
]  # fmt: skip


@pytest.mark.parametrize("text", [case[1] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_text_that_could_mean_something_else_is_refused(text: str) -> None:
    answer = parse(text)
    assert not answer.ok
    assert answer.value is None
    assert answer.errors
    assert answer.text == text
    assert answer.fault == ("invalid" if text.strip() else "empty")


REFUSED_VALUES = [
    ("NaN", "price", 'NaN'),
    ("infinity", "price", '-Infinity'),
    ("number beyond a double", "price", '1e999'),
    ("integer beyond 64 bits", "count", '9223372036854775808'),
    ("integer far beyond 64 bits", "count", '123456789012345678901234567890'),
    ("number that a double rounds", "price", '9007199254740993'),
    ("fraction for an integer", "count", '2.5'),
    ("sum", "count", '1+1'),
    ("thousands or decimals", "price", '"1,234"'),
    ("unquoted thousands", "price", '1,234'),
    ("number with a unit", "price", '"12 EUR"'),
    ("number with leading zeros", "count", '"007"'),
    ("one for true", "sold", '1'),
    ("maybe", "sold", '"maybe"'),
    ("unknown enum value", "kind", '"poster"'),
    ("part of an enum value", "kind", '"album"'),
    ("March or April", "released", '"03/04/2024"'),
    ("two-digit year", "released", '"25/12/24"'),
    ("month only", "released", '"May 2024"'),
    ("30 February", "released", '"2024-02-30"'),
    ("weekday that does not fit", "released", '"Monday, 3 May 2024"'),
    ("moment for a day", "released", '"2024-05-03T10:20:00Z"'),
    ("day for a moment", "seen", '"2024-05-03"'),
]  # fmt: skip


@pytest.mark.parametrize(("key", "raw"), [case[1:] for case in REFUSED_VALUES], ids=[c[0] for c in REFUSED_VALUES])
def test_a_value_that_could_mean_something_else_is_refused(key: str, raw: str) -> None:
    answer = parse(f'{{"title": "Red", "tags": ["a", "b"], "{key}": {raw}}}')
    assert (answer.ok, answer.value, answer.fault) == (False, None, "invalid")
    assert answer.errors


def test_an_unknown_key_is_dropped_only_when_no_property_is_missing() -> None:
    full = red(price=1, count=1, kind="film", sold=True, released=None, seen=None, maker=None)
    answer = parse(json.dumps(full | {"note": "x"}))
    assert (answer.value, answer.repairs) == (full, ("dropped:note",))
    assert not parse(json.dumps(RED | {"cost": 3})).ok


FULL = load_answer_schema(
    OutputSettings(
        path="out",
        schema={
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "maker": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            },
            "required": ["title", "maker"],
        },
    )
)


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "Red", "maker": {"name": "Bob"}',
        '{"title": "Red", "maker": {"name": "Bob"',
        '```json\n{"title": "Red", "maker": {"name": "Bob"}\n```',
        '{"title": "Red",\n "maker": {"name": "Bob"}\n',
    ],
)
def test_missing_braces_are_closed_when_every_property_is_there(text: str) -> None:
    completion = ChatCompletion(None, None, None, text, (), "stop", None)
    answer = FULL.parse(completion, OutputMode.PROMPT)
    assert answer.value == {"title": "Red", "maker": {"name": "Bob"}}
    assert "json" in answer.repairs


@pytest.mark.parametrize("reason", ["length", None, "content_filter"])
def test_nothing_is_closed_for_a_model_that_did_not_stop_by_itself(reason: str | None) -> None:
    completion = ChatCompletion(None, None, None, '{"title": "Red", "maker": {"name": "Bob"}', (), reason, None)
    assert not FULL.parse(completion, OutputMode.PROMPT).ok


def test_each_repair_is_noted() -> None:
    text = "Sure:\n```json\n{'Title': 'Red', 'tags': [], 'count': '3', 'sold': 'no', 'price': 'n/a', 'kind': 'FILM', "
    text += "'released': '3 May 2024', 'seen': '2024-05-03 10:20', 'maker': null}\n```"
    notes = ("fence", "prose", "json", "key:title", "number:count", "boolean:sold", "null:price", "enum:kind")
    assert parse(text).repairs == (*notes, "date:released", "utc:seen")


def test_a_clean_answer_has_no_repairs() -> None:
    assert parse('{"title": "Red", "tags": [], "seen": "2024-05-03T10:20:00+02:00"}').repairs == ()


def test_errors_name_their_place_and_are_short() -> None:
    answer = parse('{"title": "Red", "tags": ["a", 5], "maker": {"name": "x", "born": "' + "y" * 9_000 + '"}}')
    assert any(error.startswith("tags[1]: ") for error in answer.errors)
    assert any(error.startswith("maker.born: ") for error in answer.errors)
    assert sum(map(len, answer.errors)) < 1_500


def test_an_answer_cut_off_at_the_token_limit_is_truncated_not_invalid() -> None:
    answer = parse('{"title": "Red", "tags": ["a", "b', "length")
    assert answer.fault == "truncated"


def test_an_object_that_is_whole_counts_although_the_limit_was_reached_behind_it() -> None:
    assert parse('```json\n{"title": "Red", "tags": ["a", "b"]}\n```\nThis JSON', "length").value == RED
    assert parse('{"title": "Red", "tags": ["a", "b"]}' + "\n" * 300, "length").value == RED


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "Red", "tags": [' + '"a", ' * 9_000,
        '{"title"' * 5_000,
        '{"title": "Red", "tags": [' + '\\"' * 20_000,
        '{"a":' + "/* x" * 10_000,
        "{" * 39_000,
        '{"title": ' + "[" * 39_000,
        '{"title": "' + "“" * 39_000,
    ],
)
def test_a_long_damaged_text_is_judged_quickly(text: str) -> None:
    """json-repair, Python's tokenizer and careless patterns took up to a minute for these."""
    start = time.perf_counter()
    assert not parse(text).ok
    assert time.perf_counter() - start < 3
