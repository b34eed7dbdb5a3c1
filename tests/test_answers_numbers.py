"""Numbers of an answer: what a column holds stands there digit for digit, the rest is refused."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parquill.answers import Answer, AnswerSchema, OutputMode, load_answer_schema
from parquill.answers.exact_numbers import may_be_rounded, read_number, to_double
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings


def shape_of(field: dict[str, Any]) -> AnswerSchema:
    schema = {"type": "object", "properties": {"a": field}, "required": ["a"]}
    return load_answer_schema(OutputSettings(path="out", schema=schema))


WHOLE, DOUBLE = shape_of({"type": "integer"}), shape_of({"type": "number"})
TEXT, ANY = shape_of({"type": ["integer", "string"]}), shape_of({})


def parse(shape: AnswerSchema, text: str) -> Answer:
    return shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.JSON_SCHEMA)


WRITERS = (
    '{"a": %s}',
    "{'a': %s}",
    '{"a": %s,}',
    '{"a": "%s"}',
    '{"a": %s // so\n}',
    '{"a" "x": 1, "a": %s}',
    "{a: %s\n}",
)


@pytest.mark.parametrize(
    ("literal", "meant"),
    [
        ("1e18", 10**18),
        ("1E+18", 10**18),
        ("123456789012345e4", 1234567890123450000),
        ("9007199254740993.0", 2**53 + 1),
        ("9007199254740993", 2**53 + 1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808.0", -(2**63)),
        ("1.5e1", 15),
        ("0.0000000000000000e5", 0),
        ("9223372036854775808", None),
        ("18446744073709551617", None),
        ("1e19", None),
        ("1e400", None),
        ("1e999999999", None),
        ("9007199254740992.5", None),
        ("0.99999999999999999999", None),
        ("1.0000000000000000000000001", None),
    ],
)
def test_an_integer_column_takes_whole_numbers_in_any_form(literal: str, meant: int | None) -> None:
    answer = parse(WHOLE, f'{{"a": {literal}}}')
    assert (answer.value and answer.value["a"]) == meant
    assert answer.ok == (meant is not None)
    if meant is not None:
        assert type(answer.value["a"]) is int
        assert WHOLE.to_arrow([answer.value])[0]["a"].as_py() == meant


@pytest.mark.parametrize(
    ("literal", "fits"),
    [
        ("0.1", True),
        ("0.10000000000000001", True),
        ("1e18", True),
        ("1.7976931348623157e308", True),
        ("5e-324", True),
        ("36893488147419103232", True),
        ("0.1000000000000000055511151231257827", True),
        ("9007199254740993", False),
        ("18446744073709551617", False),
        ("0.3333333333333333333", False),
        ("3.14159265358979323846", False),
        ("1e-400", False),
        ("1e999", False),
        ("0." + "3" * 5000, False),
        ("7" * 5000, False),
    ],
)
def test_a_number_column_takes_what_a_double_gives_back(literal: str, fits: bool) -> None:
    answer = parse(DOUBLE, f'{{"a": {literal}}}')
    assert answer.ok == fits
    if fits:
        assert DOUBLE.to_arrow([answer.value])[0]["a"].as_py() == float(literal)
    else:
        assert all(len(error) < 240 for error in answer.errors)


@pytest.mark.parametrize("shape", [TEXT, ANY])
@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("9007199254740993", "9007199254740993"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551617", None),
        ("123456789012345678901234567890", None),
    ],
)
def test_json_text_holds_integers_of_64_bits_and_refuses_longer_ones(
    shape: AnswerSchema, literal: str, text: str | None
) -> None:
    answer = parse(shape, f'{{"a": {literal}}}')
    assert answer.ok == (text is not None)
    if text:
        assert shape.to_arrow([answer.value])[0]["a"].as_py() == text


def test_a_fraction_in_json_text_is_kept_or_refused() -> None:
    assert parse(ANY, '{"a": [0.1, 1e18]}').value == {"a": [0.1, 1e18]}
    assert not parse(ANY, '{"a": [0.1, {"b": 0.12345678901234567891}]}').ok


_DIGITS = st.text("0123456789", min_size=1, max_size=25)
_LITERALS = st.builds(
    lambda sign, whole, fraction, exponent: sign + (whole.lstrip("0") or "0") + fraction + exponent,
    st.sampled_from(["", "-"]),
    _DIGITS,
    st.just("") | _DIGITS.map(lambda digits: "." + digits),
    st.just("") | st.integers(-30, 30).map(lambda power: f"e{power}"),
)


@settings(max_examples=60)
@given(_LITERALS, st.sampled_from(WRITERS))
def test_no_number_is_changed_however_it_is_written(literal: str, form: str) -> None:
    """Python's decimals are the second opinion: what an answer holds is the number of the text, or it is no answer."""
    text = form % literal
    meant = Decimal(literal)
    whole = parse(WHOLE, text)
    if whole.ok:
        assert whole.value["a"] == meant
    double = parse(DOUBLE, text)
    if double.ok:
        found = float(double.value["a"])
        digits = len(literal.partition("e")[0].lstrip("-0.").replace(".", ""))
        assert found == float(meant)
        assert not digits or meant in (Decimal(f"{found:.{digits - 1}e}"), Decimal(repr(found)))
    if form == WRITERS[0]:
        assert whole.ok == (meant == meant.to_integral_value() and -(2**63) <= meant < 2**63)
        assert double.ok or len(literal) > 15


@settings(max_examples=60)
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["%r", "%.17g", "%.15e"]))
def test_a_double_comes_back_as_any_program_writes_it(number: float, form: str) -> None:
    literal = form % number
    assume(math.isfinite(float(literal)))
    read = read_number(literal)
    assert (to_double(read) if isinstance(read, Decimal) else read) == float(literal)


@settings(max_examples=60)
@given(st.lists(_LITERALS | st.floats(allow_nan=False, allow_infinity=False).map(repr), max_size=4))
def test_the_quick_reading_misses_no_rounded_number(literals: list[str]) -> None:
    text = f'{{"a": [{", ".join(literals)}], "b": "x"}}'
    exact = [Decimal(one) for one in literals]
    quick = [Decimal(repr(float(one))) for one in literals]
    value = {"a": [float(one) for one in literals], "b": "x"}
    assert quick == exact or may_be_rounded(value, text)


def test_a_caption_s_numbers_are_read_at_full_speed() -> None:
    value = {"caption": "Three boats, 2 of them red, before a hill of 1208.5 m", "score": 0.87, "at": [0.5, 12]}
    assert not may_be_rounded(value, json.dumps(value))
