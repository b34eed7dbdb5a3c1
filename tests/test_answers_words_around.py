"""Words, marks and names around a value: taken off where they explain it, left where they deny or double it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.answers.coerce import coerce
from parquill.answers.inner_json import inner_json
from parquill.answers.json_slips import without_slips
from parquill.answers.parse import make_check, parse_json
from parquill.answers.schema_document import make_document
from parquill.answers.schema_tree import Field, Kind, Node
from parquill.answers.unwrap import readings
from parquill.answers.validator import compile_validator
from parquill.answers.words_around import DOUBT, one_value
from parquill.answers.written_numbers import plain_number
from parquill.finish_reasons import Ending

STOCK = ("in_stock", "out_of_stock", "preorder")
MOOD = ("positive", "negative", "neutral")
COLOUR = ("red", "blue", "dark blue")
ANSWER = ("yes", "no")


@pytest.mark.parametrize(
    ("values", "text", "value"),
    [
        (STOCK, "In stock.", "in_stock"),
        (STOCK, "in\\_stock", "in_stock"),
        (STOCK, f"in{DOUBT}_stock", "in_stock"),
        (STOCK, "`in_stock`", "in_stock"),
        (STOCK, "in_stock (3 left in the shop)", "in_stock"),
        (STOCK, "Status: **In Stock**", "in_stock"),
        (MOOD, "**Sentiment:** Positive", "positive"),
        (MOOD, "The sentiment is positive.", "positive"),
        (MOOD, "positive\nThe reviewer loves it", "positive"),
        (MOOD, "Positive, because the reviewer loves it.", "positive"),
        (MOOD, "**positive** – the reader is happy with it", "positive"),
        (MOOD, "“Positive”", "positive"),
        (COLOUR, "Dark-Blue.", "dark blue"),
        (COLOUR, "blue (navy shade)", "blue"),
        (ANSWER, "No.", "no"),
        (ANSWER, "yes - a sign is readable", "yes"),
    ],
)
def test_words_around_an_enum_value_that_explain_it_are_taken_off(
    values: tuple[str, ...], text: str, value: str
) -> None:
    assert one_value(values, text) == value


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (STOCK, "stock"),
        (STOCK, "not in stock"),
        (STOCK, "No longer in stock"),
        (STOCK, "in_stock (soon out of stock)"),
        (MOOD, "mostly positive"),
        (MOOD, "The opposite is positive"),
        (MOOD, "positive?"),
        (MOOD, "positive (it isn't clear)"),
        (MOOD, '"positive", "negative"'),
        (MOOD, "positive & negative"),
        (MOOD, "nonpositive"),
        (MOOD, "positive " * 60),
        (COLOUR, "red - green"),
        (COLOUR, "red, green"),
        (COLOUR, "light blue"),
        (COLOUR, "blue (dark blue to be exact)"),
        (COLOUR, "reddish"),
        (ANSWER, "Yes, because no lamp is on"),
        (ANSWER, "no problem"),
    ],
)
def test_words_that_deny_an_enum_value_or_name_another_leave_it(values: tuple[str, ...], text: str) -> None:
    assert one_value(values, text) is None


_JOINTS = st.sampled_from([" ", "/", ", ", " - ", " (", ": ", " or ", "\n", ". ", " because ", "; ", " is ", "**"])


MOODS = make_check(
    Node(Kind.ENUM, values=MOOD), compile_validator(make_document("mood", {"enum": list(MOOD)})), wrapped=True
)


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"answer": "positive"}', "positive", ()),
        ("positive", "positive", ()),
        ("Positive.", "positive", ("enum:",)),
        ("```\npositive\n```", "positive", ("fence",)),
        ('```json\n"positive"\n```', "positive", ("fence", "enum:")),
        ("Mood: positive", "positive", ("enum:",)),
        ("It is not positive.", None, ()),
        ("positive, negative", None, ()),
        ("", None, ()),
    ],
)
def test_a_single_value_that_is_asked_for_inside_an_object_is_read_without_it(
    text: str, value: str | None, repairs: tuple[str, ...]
) -> None:
    answer = parse_json(MOODS, text, Ending.COMPLETE)
    assert (answer.value, answer.repairs) == (value, repairs)
    assert not parse_json(MOODS, "positive", Ending.CUT).ok


@given(pair=st.permutations(MOOD), before=st.sampled_from(["", "Mood: ", "It is "]), joint=_JOINTS, after=_JOINTS)
def test_a_text_that_names_two_enum_values_is_never_read_as_one(
    pair: list[str], before: str, joint: str, after: str
) -> None:
    assert one_value(MOOD, f"{before}{pair[0]}{joint}{pair[1]}{after}in the end") is None
    assert one_value(MOOD, f"{before}{pair[0]}{joint}the end is rather {pair[1]}") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12,000.50", "12000.50"), ("1.234,5", "1234.5"), ("1,234,567", "1234567"), ("1.234.567", "1234567"),
        ("1'000", "1000"), ("12 000,5", "12000.5"), ("+5", "5"), (" 7 ", "7"), ("1e5", "1e5"), ("1.234", "1.234"),
        ("1,234", None), ("1,23", None), ("12,34,567", None), ("00.5", None), ("$5", None), ("5%", None),
        ("1 2", None), ("٣", None), ("1,234.567,8", None),
    ],
)  # fmt: skip
def test_marks_between_thousands_are_taken_out_where_they_can_be_nothing_else(text: str, number: str | None) -> None:
    assert plain_number(text) == number


@given(st.integers(-(10**15), 10**15), st.integers(0, 99))
def test_numbers_that_python_groups_are_read_as_what_they_are(whole: int, cents: int) -> None:
    assert plain_number(f"{whole:,}.{cents:02}") == f"{whole}.{cents:02}"
    if abs(whole) >= 10**6:
        assert plain_number(f"{whole:,}") == plain_number(f"{whole:_}") == str(whole)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"a": undefined, "b": [undefined]}', '{"a": null, "b": [null]}'),
        ('{"a": "undefined, 1,234.5, x\\": 1", "b": 1}', None),
        ('{a": 1, b" : 2}', '{"a": 1, "b" : 2}'),
        ('{"a": 12,000.50, "b": -1,234,567}', '{"a": 12000.50, "b": -1234567}'),
        ('{"a": 1,234, "b": [12,000.50]}', None),
        ('{"a" 1, "b" "x", "c": ["y" "z"]}', '{"a": 1, "b": "x", "c": ["y" "z"]}'),
        ('{"a"：1，"b": "：，"}', '{"a":1,"b": "：，"}'),
        (r'{"a": "in\_stock"}', f'{{"a": "in{DOUBT}_stock"}}'),
        (r'{"a": "C:\data\x", "b": "\\_"}', None),
        (f'{{"a": "{DOUBT}", "b": undefined}}', None),
    ],
)
def test_slips_are_set_right_outside_strings_alone(text: str, right: str | None) -> None:
    assert without_slips(text) == (right or text)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_sound_json_has_no_slips(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert without_slips(text) == text


def test_json_text_inside_a_string_is_read_whole_or_not_at_all() -> None:
    assert inner_json(' {"a": [1]} ') == {"a": [1]}
    assert inner_json("['red', True]") == ["red", True]
    for text in ("red", '"red"', "5", '{"a": 1} or {"a": 2}', '{"a": 1, "a": 2}', "[open('x')]", "", "[1"):
        assert inner_json(text) is None, text


TEXT, NUMBER, WORDS = Node(Kind.STRING), Node(Kind.INTEGER), Node(Kind.ARRAY, item=Node(Kind.STRING))
ROOT = Node(Kind.OBJECT, fields=(Field("name", TEXT, True), Field("any", Node(Kind.ANY), False)))


@pytest.mark.parametrize(
    ("found", "inside", "note"),
    [
        ({"answer": {"name": "x"}}, {"name": "x"}, "wrapper"),
        ({"result": {"thing": {"name": "x"}}}, {"name": "x"}, "wrapper"),
        ({"answer": '{"name": "x"}'}, {"name": "x"}, "wrapper"),
        ({"answers": [{"name": "x"}]}, {"name": "x"}, "wrapper"),
        ({"type": "object", "properties": {"name": "x"}}, {"name": "x"}, "wrapper"),
        ({"reasoning": "It says x.", "answer": {"name": "x"}}, {"name": "x"}, "wrapper"),
        ({"name": "answer", "arguments": {"name": "x"}}, {"name": "x"}, "call"),
        ({"function": {"name": "f", "parameters": '{"name": "x"}'}, "type": "function"}, {"name": "x"}, "call"),
        ({"tool": "f", "tool_input": {"name": "x"}}, {"name": "x"}, "call"),
        ({"json_tool_call": {"name": "f", "args": {"name": "x"}}}, {"name": "x"}, "wrapper"),
        (
            {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"name": "x"}}}]},
            {"name": "x"},
            "wrapper",
        ),
    ],
)
def test_names_around_an_answer_are_taken_off(found: dict[str, Any], inside: dict[str, Any], note: str) -> None:
    assert [one for one in readings(ROOT, found) if one[0] is not found] == [(inside, note)]


@pytest.mark.parametrize(
    "found",
    [
        {"draft": {"name": "x"}},
        {"example": {"name": "x"}},
        {"first": {"name": "x"}, "second": {"name": "y"}},
        {"reasoning": "It says x.", "thing": {"name": "x"}},
        {"note": "It says x.", "answer": {"name": "x"}},
        {"answers": [{"name": "x"}, {"name": "y"}]},
        {"name": {"name": "x"}},
        {"answer": {}},
        {"answer": "x"},
        {"type": "object", "properties": {"name": "x", "any": {"type": "string"}}},
        {"type": "object", "properties": {"name": "x"}, "note": 1},
        {"name": "answer", "arguments": {"name": "x"}, "parameters": {"name": "y"}},
    ],
)
def test_what_may_be_no_answer_is_not_looked_into(found: dict[str, Any]) -> None:
    assert [one for one, _ in readings(ROOT, found) if one is not found] == []


@pytest.mark.parametrize(
    ("node", "value", "repaired", "notes"),
    [
        (TEXT, ["x"], "x", ["list:a"]),
        (NUMBER, ["7"], 7, ["list:a", "number:a"]),
        (WORDS, "red", ["red"], ["list:a"]),
        (Node(Kind.ARRAY, item=NUMBER), 7, [7], ["list:a"]),
        (Node(Kind.ARRAY, item=ROOT), {"name": "x"}, [{"name": "x"}], ["list:a"]),
        (ROOT, [{"name": "x"}], {"name": "x"}, ["list:a"]),
        (ROOT, '{"name": "x"}', {"name": "x"}, ["string:a"]),
        (WORDS, '["red", "blue"]', ["red", "blue"], ["string:a"]),
        (TEXT, ["x", "y"], ["x", "y"], []),
        (Node(Kind.ARRAY, item=ROOT), {}, {}, []),
        (TEXT, [None], [None], []),
        (WORDS, "red, blue", "red, blue", []),
        (WORDS, "red blue", "red blue", []),
        (WORDS, "none", "none", []),
        (Node(Kind.ANY), ["x"], ["x"], []),
        (Node(Kind.ARRAY, item=Node(Kind.ANY)), "x", "x", []),
    ],
)
def test_one_item_and_a_list_of_one_stand_for_each_other(
    node: Node, value: Any, repaired: Any, notes: list[str]
) -> None:
    said: list[str] = []
    assert coerce(node, value, "a", said) == repaired
    assert said == notes


_LIST = make_document("list", {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}})
_ITEM = Node(Kind.OBJECT, fields=(Field("a", Node(Kind.INTEGER, nullable=True), False),))
LIST = make_check(Node(Kind.ARRAY, item=_ITEM), compile_validator(_LIST), wrapped=True)


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"answer": [{"a": 1}]}', [{"a": 1}], ()),
        ('[{"a": 1}, {"a": 1}]', [{"a": 1}, {"a": 1}], ()),
        ('```json\n[{"a": 1}, {"a": 1}]\n```', [{"a": 1}, {"a": 1}], ("fence",)),
        ('Here: [{"a": "1"}, {"a": 2}]', [{"a": 1}, {"a": 2}], ("prose", "number:[0].a")),
        ('```json\n{"answer": [{"a": 1}]}\n```', [{"a": 1}], ("fence",)),
        ('{"a": 1}', [{"a": 1}], ("list:",)),
        ('[{"a": 1}] [{"a": 2}]', None, ()),
        ('{"a": 1} {"a": 2}', None, ()),
        ('{"a": 1} {"a": 1}', None, ()),
    ],
)
def test_a_list_that_is_asked_for_inside_an_object_is_read_with_or_without_it(
    text: str, value: Any, repairs: tuple[str, ...]
) -> None:
    answer = parse_json(LIST, text, Ending.COMPLETE)
    assert (answer.value, answer.repairs) == (value, repairs)
