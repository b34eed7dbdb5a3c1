"""What holds for every schema of the supported kind and every answer that fits it."""

from __future__ import annotations

import datetime as dt
import io
import json
import string
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.answers import Answer, AnswerSchema, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings
from tests.lanes import examples

MODEST = settings(max_examples=examples(60))

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.text(string.ascii_lowercase + "äßж_- .", min_size=1, max_size=8).map(lambda name: f"k{name}")


@dataclass(frozen=True)
class Spec:
    """A schema, how its values are drawn, and how a value comes back from pandas."""

    schema: dict[str, Any]
    values: st.SearchStrategy[Any]


def leaf(schema: dict[str, Any], values: st.SearchStrategy[Any]) -> Spec:
    return Spec(schema, values)


def moment(value: dt.datetime) -> str:
    return value.isoformat() + "Z"


LEAVES = st.one_of(
    st.just(leaf({"type": "string"}, TEXT)),
    st.just(leaf({"type": "string", "maxLength": 5, "minLength": 1}, st.text("aé红🟥", min_size=1, max_size=5))),
    st.just(leaf({"type": "integer"}, st.integers(-(2**63), 2**63 - 1))),
    st.just(leaf({"type": "integer", "minimum": 0, "maximum": 9}, st.integers(0, 9))),
    st.just(leaf({"type": "number"}, st.floats(allow_nan=False, allow_infinity=False))),
    st.just(leaf({"type": "boolean"}, st.booleans())),
    st.just(leaf({"type": "string", "format": "date"}, st.dates().map(str))),
    st.just(leaf({"type": "string", "format": "date-time"}, st.datetimes().map(moment))),
    st.just(leaf({"type": "string", "format": "uuid"}, st.uuids().map(str))),
    st.just(leaf({"const": "fixed"}, st.just("fixed"))),
    st.just(leaf({"enum": [1, 2, 5]}, st.sampled_from([1, 2, 5]))),
    st.just(leaf({"type": ["integer", "string"]}, st.integers(-9, 9) | TEXT)),
    st.just(
        leaf(
            {"type": "object", "additionalProperties": {"type": "integer"}},
            st.dictionaries(TEXT, st.integers(-9, 9), max_size=2),
        )
    ),
    st.lists(TEXT.filter(bool), min_size=1, max_size=4, unique=True).map(
        lambda words: leaf({"type": "string", "enum": words}, st.sampled_from(words))
    ),
)


def nullable(spec: Spec, form: int) -> Spec:
    schema = spec.schema
    if form == 0 and isinstance(schema.get("type"), str):
        enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return Spec(schema | {"type": [schema["type"], "null"]} | enum, st.none() | spec.values)
    return Spec({"anyOf": [schema, {"type": "null"}]}, st.none() | spec.values)


def array(item: Spec) -> Spec:
    return Spec({"type": "array", "items": item.schema, "maxItems": 3}, st.lists(item.values, max_size=3))


def mapping(fields: list[tuple[str, Spec, bool]]) -> Spec:
    names = {name.casefold(): (name, spec, required) for name, spec, required in fields}.values()
    schema = {
        "type": "object",
        "properties": {name: spec.schema for name, spec, _ in names},
        "required": [name for name, _, required in names if required],
    }
    required = {name: spec.values for name, spec, must in names if must}
    optional = {name: spec.values for name, spec, must in names if not must}
    return Spec(schema, st.fixed_dictionaries(required, optional=optional))


def objects(inner: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return st.lists(st.tuples(NAMES, inner, st.booleans()), min_size=1, max_size=4).map(mapping)


SPECS = objects(
    st.recursive(
        LEAVES,
        lambda inner: st.one_of(
            st.tuples(inner, st.integers(0, 1)).map(lambda pair: nullable(*pair)), inner.map(array), objects(inner)
        ),
        max_leaves=6,
    )
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[AnswerSchema, Spec, list[dict[str, Any]]]:
    spec = draw(SPECS)
    shape = load_answer_schema(OutputSettings(path="out", schema=spec.schema))
    return shape, spec, draw(st.lists(spec.values, min_size=1, max_size=3))


def parse(shape: AnswerSchema, text: str, reason: str = "stop") -> Answer:
    return shape.parse(ChatCompletion(None, None, None, text, (), reason, None), OutputMode.JSON_SCHEMA)


WRITERS = (
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: json.dumps(value, indent=2),
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    lambda value: f"Here it is:\n```json\n{json.dumps(value)}\n```",
    lambda value: json.dumps(json.dumps(value)),
)


def through_parquet(column: pa.Array) -> list[Any]:
    """Pandas with Arrow types: NumPy's have no null inside a list of integers, and make floats of them."""
    import pandas as pd

    file = io.BytesIO()
    pq.write_table(pa.table({"answer": column}), file)
    frame = pd.read_parquet(file, dtype_backend="pyarrow")
    return list(pa.array(frame["answer"]).to_pylist())


def same(schema: dict[str, Any], meant: Any, found: Any) -> bool:
    """Compare a value with what pandas gives back for it, by the types of the schema."""
    if meant is None:
        return found is None
    if "anyOf" in schema:
        return same(schema["anyOf"][0], meant, found)
    if schema.get("type") == ["integer", "string"] or "additionalProperties" in schema:
        return bool(json.loads(found) == meant)
    if isinstance(found, list):
        return len(found) == len(meant) and all(same(schema["items"], *pair) for pair in zip(meant, found, strict=True))
    if "properties" in schema:
        names = schema["properties"]
        return found.keys() == names.keys() and all(same(names[n], meant.get(n), found[n]) for n in names)
    if isinstance(found, dt.datetime):
        return found.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z" == meant
    if isinstance(found, dt.date):
        return found.isoformat() == meant
    return bool(found == meant) and isinstance(found, bool) == isinstance(meant, bool)


@MODEST
@given(cases(), st.sampled_from(WRITERS))
def test_an_instance_comes_back_from_pandas_as_the_model_wrote_it(
    case: tuple[AnswerSchema, Spec, list[dict[str, Any]]], write: Any
) -> None:
    shape, spec, instances = case
    answers = [parse(shape, write(instance)) for instance in instances]
    assert [answer.errors for answer in answers] == [()] * len(instances)
    column = shape.to_arrow([*(answer.value for answer in answers), None])
    assert column.type == shape.arrow_type
    *found, nothing = through_parquet(column)
    assert nothing is None
    for instance, value in zip(instances, found, strict=True):
        assert same(spec.schema, instance, value), (instance, value)


@MODEST
@given(cases())
def test_a_normal_form_is_an_answer_with_the_same_normal_form(
    case: tuple[AnswerSchema, Spec, list[dict[str, Any]]],
) -> None:
    """Values go through JSON again: into the ledger, the archive and `reuse_from`."""
    shape, _, instances = case
    for instance in instances:
        value = parse(shape, json.dumps(instance)).value
        assert parse(shape, json.dumps(value)).value == value


@settings(MODEST, max_examples=examples(30))
@given(cases())
def test_all_null_has_the_same_type(case: tuple[AnswerSchema, Spec, list[dict[str, Any]]]) -> None:
    shape = case[0]
    assert shape.to_arrow([]).type == shape.to_arrow([None, None]).type == shape.arrow_type


@settings(MODEST, max_examples=examples(30))
@given(cases())
def test_what_is_sent_can_be_validated_by_anyone(case: tuple[AnswerSchema, Spec, list[dict[str, Any]]]) -> None:
    """The schema that goes out takes every instance once absent properties are written as null."""
    import jsonschema

    shape, _, instances = case
    sent = shape.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]["schema"]
    jsonschema.Draft202012Validator.check_schema(sent)
    for instance in instances:
        jsonschema.validate(with_nulls(sent, instance), sent)


def with_nulls(schema: dict[str, Any], value: Any) -> Any:
    if isinstance(value, list):
        return [with_nulls(schema.get("items", {}), item) for item in value]
    if isinstance(value, dict) and "properties" in schema:
        return {name: with_nulls(part, value.get(name)) for name, part in schema["properties"].items()}
    return value


SHAPE = load_answer_schema(
    OutputSettings(
        path="out",
        schema={
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "count": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "maker": {"type": "object", "properties": {"name": {"type": "string"}, "sold": {"type": "boolean"}}},
            },
        },
    )
)
WORDS = st.text(st.sampled_from("ab ,:{}[]\"'“”\\\n#/é"), max_size=8)
VALUES = st.fixed_dictionaries(
    {"title": WORDS, "tags": st.lists(WORDS, max_size=3)},
    optional={
        "count": st.integers(-99, 99),
        "maker": st.fixed_dictionaries({}, optional={"name": WORDS, "sold": st.booleans()}),
    },
)
SPELLINGS = (json.dumps, lambda value: json.dumps(value, indent=1, ensure_ascii=False), repr)


def structure(text: str) -> list[int]:
    """Return where a JSON or Python text's brackets, commas, colons and string ends are."""
    places, quote, escaped = [], "", False
    for i, char in enumerate(text):
        if quote:
            if char == quote and not escaped:
                places.append(i)
                quote = ""
            escaped = char == "\\" and not escaped
        elif char in "\"'":
            quote = char
            places.append(i)
        elif char in "{}[],:":
            places.append(i)
    return places


@settings(MODEST, max_examples=examples(150))
@given(VALUES, st.sampled_from(SPELLINGS), st.data())
def test_one_damaged_mark_never_changes_a_value(value: dict[str, Any], write: Any, data: st.DataObject) -> None:
    text = write(value)
    at = data.draw(st.sampled_from(structure(text)))
    mark = data.draw(st.sampled_from(["", text[at] * 2, "“", "'", '"', ",", "]", "}", "\n"]))
    answer = parse(SHAPE, text[:at] + mark + text[at + 1 :])
    assert not answer.ok or answer.value == value


@settings(MODEST, max_examples=examples(150))
@given(VALUES, st.sampled_from(SPELLINGS), st.data())
def test_half_an_answer_is_never_taken_for_a_whole_one(value: dict[str, Any], write: Any, data: st.DataObject) -> None:
    text = write(value)
    half = text[: data.draw(st.integers(0, len(text) - 1))]
    stopped = parse(SHAPE, half)
    assert not stopped.ok or stopped.value == value
    assert parse(SHAPE, half, "length").fault in ("truncated", "loop")


@settings(MODEST, max_examples=examples(300))
@given(
    st.text(st.sampled_from("{}[]\"':,\\ \n`abtrue01.-ntil“”/*#()="), max_size=60), st.sampled_from(["stop", "length"])
)
def test_no_text_makes_parsing_fail(text: str, reason: str) -> None:
    answer = parse(SHAPE, text, reason)
    assert answer.ok == (answer.fault is None)
    if answer.ok:
        SHAPE.to_arrow([answer.value])
