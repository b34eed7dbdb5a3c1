"""The package `jsonschema` judges the same answers: what it calls valid comes back whole, all else is no answer."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from parquill.answers import OutputMode
from parquill.chat import ChatCompletion
from parquill.errors import SchemaError
from parquill.results import reading
from tests.answer_schemas import shape_of
from tests.lanes import examples

Schemas = st.SearchStrategy[dict[str, Any]]

NAMES = ["a", "b", "c"]
LEAVES: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 1},
    {"type": "number", "not": {"const": 2}},
    {"type": "string", "maxLength": 1},
    {"type": "string", "pattern": "^x"},
    {"type": "boolean"},
    {"type": ["integer", "null"]},
    {"enum": ["a", "b"]},
    {"enum": ["a", 1, None]},
    {"const": 1},
    {},
]


def lists(inner: Schemas) -> Schemas:
    words = st.sampled_from([{}, {"maxItems": 1}, {"uniqueItems": True}, {"minItems": 1}])
    tuples = st.lists(inner, min_size=1, max_size=2).map(lambda items: {"type": "array", "prefixItems": items})
    return tuples | st.builds(lambda item, more: {"type": "array", "items": item, **more}, inner, words)


def objects(inner: Schemas) -> Schemas:
    """Each says what it thinks of other keys: one that does not is taken as closed, unlike in JSON Schema."""
    others = st.sampled_from([False, False, True, {"type": "integer"}])
    words = st.sampled_from([{}, {"minProperties": 1}, {"dependentRequired": {"a": ["b"]}}, {"anyOf": [{}, {}]}])

    def build(named: dict[str, Any], needed: list[str], other: Any, more: dict[str, Any]) -> dict[str, Any]:
        needed = [name for name in needed if name in named]
        if "dependentRequired" in more and not {"a", "b"} <= named.keys():
            more = {}
        return {"type": "object", "properties": named, "required": needed, "additionalProperties": other, **more}

    named = st.dictionaries(st.sampled_from(NAMES), inner, min_size=1)
    return st.builds(build, named, st.lists(st.sampled_from(NAMES), unique=True), others, words)


def either(inner: Schemas) -> Schemas:
    return st.builds(
        lambda word, parts: {word: parts}, st.sampled_from(["anyOf", "oneOf"]), st.lists(inner, min_size=2, max_size=2)
    )


SCHEMAS = objects(st.recursive(st.sampled_from(LEAVES), lambda inner: lists(inner) | objects(inner) | either(inner)))
SCALARS = st.sampled_from(["a", "b", "x", "xy", "", 0, 1, 2, 0.5, True, None])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner), max_leaves=5
)


@st.composite
def values_for(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Draw a value that mostly fits."""
    if draw(st.integers(0, 19)) == 0:
        return draw(VALUES)
    for word in ("anyOf", "oneOf"):
        if word in schema and "properties" not in schema:
            return draw(values_for(draw(st.sampled_from(schema[word]))))
    if "properties" in schema:
        must = set(schema["required"])
        names = [name for name in schema["properties"] if name in must or draw(st.booleans())]
        value = {name: draw(values_for(schema["properties"][name])) for name in names}
        return value | ({"z": draw(SCALARS)} if draw(st.integers(0, 3)) == 0 else {})
    if "prefixItems" in schema:
        return [draw(values_for(item)) for item in schema["prefixItems"]]
    if "items" in schema:
        return draw(st.lists(values_for(schema["items"]), max_size=2))
    judge = Draft202012Validator(schema)
    return draw(SCALARS.filter(judge.is_valid))


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_what_another_validator_calls_valid_comes_back_whole_and_all_else_is_no_answer(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    try:
        shape = shape_of(schema)
    except SchemaError as error:
        assert "#/" in str(error)
        return
    value = data.draw(values_for(schema))
    if not isinstance(value, dict):
        value = {"a": value}
    judge = Draft202012Validator(schema)
    reply = ChatCompletion(None, None, None, json.dumps(value), (), "stop", None)
    answer = shape.parse(reply, OutputMode.JSON_SCHEMA)
    if judge.is_valid(value):
        assert (answer.ok, answer.repairs) == (True, ()), answer.errors
        (back,) = reading(shape.json_text)(pa.chunked_array([shape.to_arrow([answer.value])]))
        assert plain(back) == plain(value)
    elif answer.ok and not answer.repairs:
        assert judge.is_valid(without_nulls(value)), "null is taken for absent; nothing else is"


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> str:
    """One spelling of equal values: `1.0` is 1, `true` is not; a column gives null for what is absent."""
    whole = json.loads(json.dumps(without_nulls(value)), parse_float=_number)
    return json.dumps(whole, sort_keys=True)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
