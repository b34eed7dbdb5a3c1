"""Texts that can be read in two ways are faults: no reading is chosen for the model."""

from __future__ import annotations

import ast
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.answers import Answer, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings
from tests.lanes import examples

SHAPE = load_answer_schema(
    OutputSettings(
        path="out",
        schema={
            "type": "object",
            "properties": {"text": {"type": "string"}, "count": {"type": "integer"}, "sold": {"type": "boolean"}},
            "required": ["text"],
        },
    )
)


def parse(text: str) -> Answer:
    return SHAPE.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.PROMPT)


TWO_READINGS = [
    '"yes" or "no"',
    '"A red " + "boat"',
    '"A red "+"boat"',
    '"A red "+ "boat"',
    '"A "+x+" boat"',
    '"boat" | "ship"',
    '"boat"|"ship"',
    '"boat"/"ship"',
    '"boat" || "ship"',
    '"boat" & "ship"',
    '"boat" -> "ship"',
    '"boat" "ship"',
    '"boat" if x else "ship"',
    '"yes"\n or "no"',
    '"5" or "6"',
    '"boat" (or "ship")',
    "'yes' or 'no'",
    "'yes'or'no'",
    "\"yes\" or 'no'",
    "“yes” or “no”",
    '"The "Red" boat" or "The blue one"',
]


@pytest.mark.parametrize("value", TWO_READINGS)
def test_several_strings_for_one_are_a_fault(value: str) -> None:
    answer = parse(f'{{"text": {value}}}')
    assert (answer.ok, answer.fault) == (False, "invalid")


@pytest.mark.parametrize(
    "value", ['"count": 3 or 4', '"count": 3-4', '"count": 4/2', '"count": 3|4', '"sold": true/false']
)
def test_several_values_for_one_are_a_fault(value: str) -> None:
    assert not parse(f'{{"text": "x", {value}}}').ok


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ('"The "Red" one"', 'The "Red" one'),
        ('"She said "hi." and left"', 'She said "hi." and left'),
        ('"The "big red" boat "Anna" sails"', 'The "big red" boat "Anna" sails'),
        ('"He (aka "Bob") won"', 'He (aka "Bob") won'),
        ('"5" or 6" pipe"', '5" or 6" pipe'),
        ("'it's Bob's'", "it's Bob's"),
    ],
)
def test_quotes_inside_one_string_stay_repaired_for_free(value: str, meant: str) -> None:
    assert parse(f'{{"text": {value}}}').value == {"text": meant}


_WORDS = st.text("ab ", min_size=1, max_size=4).map(lambda text: f'"{text}"')
_BETWEEN = st.sampled_from(["or", "and", "+", "|", "&", "in", "==", "if x else", "%", "-", "or x or", "not in", ">"])


@settings(max_examples=examples(40))
@given(st.lists(_WORDS, min_size=2, max_size=4), _BETWEEN, st.sampled_from(["", " "]))
def test_what_is_an_expression_of_several_strings_is_no_string(words: list[str], between: str, blank: str) -> None:
    """The second opinion is Python's grammar: what it reads as an operation on strings is never taken as one text."""
    expression = f"{blank}{between}{blank}".join(words)
    with contextlib.suppress(SyntaxError):
        if not isinstance(ast.parse(expression, mode="eval").body, ast.Constant):
            assert not parse(f'{{"text": {expression}}}').ok
