"""Repairs and faults inside unions: as good as outside where one branch is meant, none where two could be."""

from __future__ import annotations

import json
from typing import Any, Literal

import jsonschema
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.answers import Answer, AnswerSchema, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

Schema = dict[str, Any]


def obj(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def shape_of(field: Schema) -> AnswerSchema:
    return load_answer_schema(OutputSettings(path="out", schema=obj({"pet": field, "note": {"type": "string"}})))


def parse(shape: AnswerSchema, pet: Any) -> Answer:
    text = json.dumps({"pet": pet, "note": "a"})
    return shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.JSON_SCHEMA)


CAT = obj({"kind": {"const": "cat"}, "lives": {"type": "integer", "minimum": 1}})
DOG = obj({"kind": {"const": "dog"}, "name": {"type": "string"}})
PETS: Schema = {"oneOf": [CAT, DOG], "discriminator": {"propertyName": "kind"}}
CLOSED: Schema = {"anyOf": [{**one, "additionalProperties": False} for one in (CAT, DOG)]}
OPEN_SHAPE, CLOSED_SHAPE = shape_of(PETS), shape_of(CLOSED)
NINE = {"kind": "cat", "lives": 9}


@pytest.mark.parametrize("shape", [OPEN_SHAPE, CLOSED_SHAPE])
@pytest.mark.parametrize(
    ("said", "note"),
    [
        ({"kind": "cat", "lives": "9"}, "number:pet.lives"),
        ({"kind": "Cat", "lives": 9}, "enum:pet.kind"),
        ({"kind": "cat", "Lives": 9}, "key:pet.lives"),
        ([{"kind": "cat", "lives": 9}], "list:pet"),
        ('{"kind": "cat", "lives": 9}', "string:pet"),
    ],
)
def test_what_is_repaired_outside_a_union_is_repaired_inside_one(shape: AnswerSchema, said: Any, note: str) -> None:
    answer = parse(shape, said)
    assert (answer.errors, answer.value) == ((), {"pet": NINE, "note": "a"})
    assert answer.repairs == (note,)


def test_a_key_without_a_place_is_dropped_only_where_the_branch_is_closed() -> None:
    said = {**NINE, "fur": "grey"}
    assert parse(OPEN_SHAPE, said).value["pet"] == said
    closed = parse(CLOSED_SHAPE, said)
    assert (closed.value["pet"], closed.repairs) == (NINE, ("dropped:pet.fur",))


@pytest.mark.parametrize(
    ("branches", "said"),
    [
        ([{"type": "string"}, {"type": "integer"}], "12"),
        ([{"type": "array", "items": {"type": "string"}}, {"type": "string"}], "12"),
        ([obj({"a": {"type": "integer"}}), obj({"b": {"type": "integer"}})], {"a": 1, "b": 2}),
        ([obj({"a": {"type": "integer"}}), {"type": "array", "items": {"type": "integer"}}], [1]),
    ],
)
def test_what_fits_as_it_stands_is_left_alone(branches: list[Schema], said: Any) -> None:
    answer = parse(shape_of({"anyOf": branches}), said)
    assert (answer.value["pet"], answer.repairs) == (said, ())


@pytest.mark.parametrize(
    ("branches", "said"),
    [
        ([{"type": "integer"}, {"type": "string", "format": "date"}], "20240229"),
        ([obj({"a": {"type": "integer"}}), obj({"a": {"type": "boolean"}, "b": {"type": "null"}})], "a: 1"),
        ([obj({"A": {"type": "integer"}}), obj({"a_": {"type": "integer"}})], {"a": 1}),
    ],
)
def test_two_readings_are_a_fault(branches: list[Schema], said: Any) -> None:
    assert not parse(shape_of({"anyOf": branches}), said).ok


def test_one_branch_that_needs_no_list_comes_first() -> None:
    shape = shape_of({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]})
    assert parse(shape, "5").value["pet"] == 5
    assert parse(shape, ["5"]).value["pet"] == [5]


def test_unions_in_lists_and_in_unions_are_repaired_at_their_place() -> None:
    shape = shape_of({"type": "array", "items": {"anyOf": [PETS, {"type": "boolean"}]}})
    answer = parse(shape, [NINE, {"kind": "cat", "lives": "9"}, "yes"])
    assert answer.value["pet"] == [NINE, NINE, True]
    assert answer.repairs == ("number:pet[1].lives", "boolean:pet[2]")


def test_a_nullable_union_takes_words_for_nothing_as_null() -> None:
    shape = shape_of({"anyOf": [CAT, DOG, {"type": "null"}]})
    assert parse(shape, "n/a").value["pet"] is None


def test_a_constraint_of_the_branch_is_checked_after_the_repair() -> None:
    answer = parse(OPEN_SHAPE, {"kind": "cat", "lives": "0"})
    assert not answer.ok


def test_the_fault_of_the_branch_that_is_meant_is_said() -> None:
    answer = parse(OPEN_SHAPE, {"kind": "cat", "lives": "many"})
    assert answer.errors == ('pet.lives: the value is not of type "integer"',)


def test_the_column_of_a_union_of_objects_stays_json_text() -> None:
    answer = parse(OPEN_SHAPE, NINE)
    assert json.loads(OPEN_SHAPE.to_arrow([answer.value])[0]["pet"].as_py()) == NINE


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = pydantic.Field(ge=1)


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


PYDANTIC = pydantic.TypeAdapter[Cat | Dog](Cat | Dog)
_SAID = st.fixed_dictionaries(
    {"kind": st.sampled_from(["cat", "dog", "Cat", "cow", 1])},
    optional={
        "lives": st.sampled_from([9, 0, "9", "nine", 9.0, None]),
        "Lives": st.just(3),
        "name": st.sampled_from(["Rex", 7, "9"]),
    },
)


@settings(max_examples=40)
@given(_SAID)
def test_what_a_union_takes_fits_by_jsonschema_and_pydantic_and_is_changed_only_with_a_note(said: Schema) -> None:
    answer = parse(OPEN_SHAPE, said)
    if jsonschema.Draft202012Validator(PETS).is_valid(said):
        assert answer.ok
        assert answer.value["pet"] == said
        assert answer.repairs == ()
    if answer.ok:
        assert jsonschema.Draft202012Validator(PETS).is_valid(answer.value["pet"])
        PYDANTIC.validate_python(answer.value["pet"])
        assert answer.repairs or answer.value["pet"] == said
