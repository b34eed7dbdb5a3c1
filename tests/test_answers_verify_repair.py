"""A text is held against a value, character by character: what writes it, and what only nearly does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.answers.verify_repair import accounts_for
from tests.lanes import examples

YES, NO, OPEN = (True, False), (False, False), (True, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        (" {  } \n", {}),
        ('{"a": 1}', {"a": 1}),
        ("{a: 1}", {"a": 1}),
        ("{ a_1 : 1 , b: 2 }", {"a_1": 1, "b": 2}),
        ("{'a': 'x'}", {"a": "x"}),
        ("{“a”: ‘x’}", {"a": "x"}),
        ('{"a": True, "b": FALSE, "c": None, "d": null}', {"a": True, "b": False, "c": None, "d": None}),
        ('{"a": [1, -2.5, .5, 1e3, +4]}', {"a": [1, -2.5, 0.5, 1000.0, 4]}),
        ('{"a": [1, 2,], "b": {"c": 1,},}', {"a": [1, 2], "b": {"c": 1}}),
        ('{"a": 1\n"b": 2\n}', {"a": 1, "b": 2}),
        ('{"a": [1\n2]}', {"a": [1, 2]}),
        ('{"a": [[], [{}], ""]}', {"a": [[], [{}], ""]}),
        (r'{"a": "x\n\t\"\\\/y"}', {"a": 'x\n\t"\\/y'}),
        (r'{"a": "\u00e9\b\f\r"}', {"a": "é\b\f\r"}),
        (r'{"a": "it\'s"}', {"a": "it's"}),
        ('{"a": "say "hi" now"}', {"a": 'say "hi" now'}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
    ],
)
def test_ways_of_writing_a_value(text: str, value: dict[str, Any]) -> None:
    assert accounts_for(text, value) == YES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1', {"a": 1}),
        ('{"a": {"b": "x"', {"a": {"b": "x"}}),
        ('{"a": {"b": [1]}', {"a": {"b": [1]}}),
        ('{"a": "x" ', {"a": "x"}),
    ],
)
def test_braces_alone_may_be_missing_at_the_end(text: str, value: dict[str, Any]) -> None:
    # A number or a bracket at the very end may have lost something with the brace.
    cut_inside = text in ('{"a": 1',)
    assert accounts_for(text, value) == (NO if cut_inside else OPEN)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {"a": 1}),
        ('{"a": 1}', {}),
        ('{"a": 1}', {"b": 1}),
        ("{a: 1}", {"b": 1}),
        ("{: 1}", {"a": 1}),
        ("{a b: 1}", {"a": 1}),
        ("{a 1}", {"a": 1}),
        ('{"a": 1} more', {"a": 1}),
        ('x {"a": 1}', {"a": 1}),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}),
        ('{"a": [1 2]}', {"a": [1, 2]}),
        ('{"a": 1,, "b": 2}', {"a": 1, "b": 2}),
        ('{"a": [1, 2}', {"a": [1, 2]}),
        ('{"a": [1, 2', {"a": [1, 2]}),
        ('{"a": "x', {"a": "x"}),
        ('{"a": \'x"}', {"a": "x"}),
        ('{"a": x}', {"a": "x"}),
        ('{"a": "y"}', {"a": "x"}),
        ('{"a": "xy"}', {"a": "x"}),
        ('{"a": "x"}', {"a": "xy"}),
        (r'{"a": "\u00e8"}', {"a": "é"}),
        (r'{"a": "\u00zz"}', {"a": "é"}),
        (r'{"a": "\q"}', {"a": "q"}),
        (r'{"a": "\n"}', {"a": "n"}),
        ('{"a": 12}', {"a": 1}),
        ('{"a": 1x}', {"a": 1}),
        ('{"a": 1.2.3}', {"a": 1.2}),
        ('{"a": true}', {"a": False}),
        ('{"a": yes}', {"a": True}),
        ('{"a": none}', {"a": False}),
        ('{"a": null}', {"a": 0}),
        ('{"a": true}', {"a": 1}),
        ('{"a": 1}', {"a": True}),
        ('{"a": 0}', {"a": None}),
        ('{"a": "x", "b": "y"}', {"a": 'x", "b": "y'}),
        ('{"a": "x"}', {"a": ["x"]}),
        ('{"a": {"b": 1}}', {"a": {"b": 2}}),
        ("", {}),
        ("{", {"a": {}}),
    ],
)
def test_a_text_that_says_something_else_writes_no_value(text: str, value: dict[str, Any]) -> None:
    assert accounts_for(text, value)[0] is False


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text("ab é\n\t\\/", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c_1", "déjà"]), _VALUES, min_size=1, max_size=3)


@settings(max_examples=examples(60))
@given(value=_OBJECTS, ascii_=st.booleans(), indent=st.sampled_from([None, 1]), cut=st.integers(1, 200))
def test_what_json_writes_is_spelt_and_no_shorter_text_is(
    value: dict[str, Any], ascii_: bool, indent: int | None, cut: int
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    assert accounts_for(text, value) == YES
    shorter = text[: -(1 + cut % len(text))]
    right, unclosed = accounts_for(shorter, value)
    assert not right or (unclosed and set(text[len(shorter) :]) <= set("}] \n"))


@settings(max_examples=examples(60))
@given(value=_OBJECTS, other=_OBJECTS)
def test_a_text_writes_one_value(value: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.loads(json.dumps(value)) == json.loads(json.dumps(other))
    if not same:
        assert accounts_for(json.dumps(value), other)[0] is False
