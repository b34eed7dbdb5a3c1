"""Every constraint of a schema is checked on the answer, whatever its column's type; Python's jsonschema agrees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from parquill.answers import Answer, AnswerSchema, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.errors import SchemaError
from parquill.job import OutputSettings
from tests.answer_schemas import shape_of, with_field


def parse(shape: AnswerSchema, value: Any) -> Answer:
    text = json.dumps({"a": value})
    return shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.JSON_SCHEMA)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ({"type": "number", "enum": [1, 2], "minimum": 2}, 2, 1),
        ({"type": "integer", "enum": [3, 4, 6], "multipleOf": 3}, 6, 4),
        ({"enum": ["a", "bb"], "maxLength": 1}, "a", "bb"),
        ({"type": "string", "enum": ["a", "1"], "pattern": "^\\d$"}, "1", "a"),
        ({"enum": ["a", 1], "type": ["string", "integer"], "not": {"const": 1}}, "a", 1),
        ({"type": "array", "items": {"type": "integer"}, "enum": [[1], [1, 2]], "minItems": 2}, [1, 2], [1]),
        ({"type": "object", "properties": {"x": {"type": "integer"}}, "enum": [{"x": 1}]}, {"x": 1}, {"x": 2}),
        ({"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer"}}, {"k": 1}, {}),
        ({"type": "object", "propertyNames": {"pattern": "^k"}}, {"k": 1}, {"x": 1}),
        ({"type": "string", "format": "date", "enum": ["2024-02-29"]}, "2024-02-29", "2024-03-01"),
        (
            {"type": "string", "format": "date-time", "pattern": "Z$"},
            "2024-02-29T00:00:00Z",
            "2024-02-29T00:00:00+01:00",
        ),
        ({"type": "array", "uniqueItems": True, "items": {"type": "number"}}, [1, 2], [1, 1.0]),
        ({"type": "array", "contains": {"const": 1}, "maxContains": 1}, [1, 2], [1, 1]),
        ({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string", "minLength": 5}]}, 5, "abcd"),
        ({"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]}, 4, 6),
        ({"const": 3, "minimum": 3}, 3, 4),
        ({"minimum": 3}, 3, 2),
        ({"maxLength": 2}, "ab", "abc"),
    ],
)
def test_a_constraint_counts_beside_others_and_in_every_kind_of_column(field: Any, good: Any, bad: Any) -> None:
    shape = shape_of(with_field(field))
    assert Draft202012Validator(field).is_valid(good)
    assert not Draft202012Validator(field).is_valid(bad)
    assert parse(shape, good).errors == ()
    answer = parse(shape, bad)
    assert (answer.ok, answer.value, answer.fault) == (False, None, "invalid")


_WORDS: dict[str, st.SearchStrategy[Any]] = {
    "minimum": st.integers(-1, 3),
    "exclusiveMaximum": st.integers(1, 5),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "minLength": st.integers(0, 2),
    "maxLength": st.integers(1, 3),
    "pattern": st.sampled_from(["^a", "b$", "^[ab]*$"]),
    "minItems": st.integers(0, 1),
    "maxItems": st.integers(1, 3),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 1),
    "maxProperties": st.integers(1, 2),
}
_SAY_THE_TYPE = {
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "additionalProperties",
    "minProperties",
    "maxProperties",
}
_SCALARS = st.none() | st.booleans() | st.integers(-1, 6) | st.sampled_from([0.5, 1.5, 2.0]) | st.text("ab", max_size=4)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
_TYPES = st.sampled_from(["integer", "number", "string", "boolean", "array", "object"])


@st.composite
def schemas(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    """Draw a schema with any words beside each other."""
    schema: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=_WORDS))
    kinds = draw(st.none() | _TYPES | st.lists(_TYPES, min_size=2, max_size=2, unique=True))
    if kinds:
        schema["type"] = kinds
    if draw(st.integers(0, 3)) == 0:
        schema["enum"] = draw(st.lists(_VALUES, min_size=1, max_size=4, unique_by=repr))
    if depth < 2:
        inner = schemas(depth=depth + 1)
        extra = draw(st.sampled_from(["", "items", "additionalProperties", "anyOf", "oneOf", "not"]))
        if extra in ("anyOf", "oneOf"):
            schema[extra] = draw(st.lists(inner, min_size=1, max_size=2))
        elif extra:
            schema[extra] = draw(inner)
    if not kinds:  # without a type, words for objects and lists say that it is one
        return {word: held for word, held in schema.items() if word not in _SAY_THE_TYPE}
    return schema


@settings(max_examples=40)
@given(schemas(), st.lists(_VALUES, min_size=1, max_size=6))
def test_jsonschema_agrees_on_every_answer(field: dict[str, Any], values: list[Any]) -> None:
    try:
        shape = load_answer_schema(OutputSettings(path="out", schema=with_field(field)))
    except SchemaError:
        return  # no value fits, which the loading says
    judge = Draft202012Validator(field)
    for value in values:
        answer = parse(shape, value)
        if judge.is_valid(value):
            assert answer.errors == ()
            assert answer.value == {"a": value}
            assert answer.repairs == ()
        elif answer.ok:
            assert answer.repairs
            assert judge.is_valid(answer.value["a"])
