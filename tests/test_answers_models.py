"""Answers of a job that names a model: the model itself validates them, and what it makes of them is the column's."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from parquill.answers import Answer, AnswerSchema, OutputMode, example_turns, load_answer_schema
from parquill.answers.model_check import ModelCheck, find_model
from parquill.chat import ChatCompletion
from parquill.errors import SchemaError
from parquill.job import Example, OutputSettings
from tests import schema_models


def shape_of(name: str) -> AnswerSchema:
    return load_answer_schema(OutputSettings(path="out", schema=f"tests.schema_models:{name}"))


def parse(shape: AnswerSchema, value: Any) -> Answer:
    text = value if isinstance(value, str) else json.dumps(value)
    return shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.JSON_SCHEMA)


def model_of(name: str) -> ModelCheck:
    model = find_model(f"tests.schema_models:{name}")
    assert model is not None
    return model


def test_an_answer_that_a_validator_refuses_is_invalid_with_the_validator_s_words() -> None:
    shape = shape_of("Span")
    assert parse(shape, {"name": "ANN", "first": 1, "last": 3}).value == {"name": "ANN", "first": 1, "last": 3}
    by_field = parse(shape, {"name": "ann", "first": 1, "last": 3})
    assert (by_field.ok, by_field.fault, by_field.errors) == (False, "invalid", ("name: must be upper case",))
    assert parse(shape, {"name": "ANN", "first": 3, "last": 1}).errors == ("first must not exceed last",)


def test_a_validator_sees_what_free_repairs_made() -> None:
    answer = parse(shape_of("Span"), '```json\n{"name": "ANN", "first": "1", "last": 3}\n```')
    assert answer.value == {"name": "ANN", "first": 1, "last": 3}
    assert answer.repairs == ("fence", "number:first")


def test_the_schema_is_checked_before_the_model() -> None:
    assert "required property" in parse(shape_of("Span"), {"name": "ANN"}).errors[0]


def test_a_property_left_out_has_the_model_s_default_so_that_the_answer_loads_back() -> None:
    for said in ({"name": "ANN", "first": 1}, {"name": "ANN", "first": 1, "last": None}):
        answer = parse(shape_of("Span"), said)
        assert answer.value == {"name": "ANN", "first": 1, "last": 10}
        assert schema_models.Span.model_validate(answer.value).last == 10


def test_what_validators_change_lands_in_the_column() -> None:
    shape = shape_of("Offer")
    said = {
        "title": "  red boat ",
        "price": "1.50",
        "day": "2024-02-29",
        "site": "https://Example.com",
        "key": "k-1",
        "tags": ["a", "a"][:1],
    }
    answer = parse(shape, said)
    assert answer.errors == ()
    row = shape.to_arrow([answer.value])[0].as_py()
    assert row["title"] == "Red Boat"
    assert json.loads(row["price"]) == "1.50"
    assert (row["day"].isoformat(), row["site"], row["key"]) == ("2024-02-29", "https://example.com/", "k-1")
    assert schema_models.Offer.model_validate(answer.value).price == Decimal("1.50")


def test_a_decimal_has_one_spelling_however_it_is_given() -> None:
    assert parse(shape_of("Prices"), {"a": 1.5, "b": "1.5", "c": 12}).value == {"a": "1.5", "b": "1.5", "c": "12"}
    said = {"prices": {"a": 1.5, "b": "1.5", "c": 12}}
    assert parse(shape_of("Catalog"), said).value == {"prices": {"a": "1.5", "b": "1.5", "c": "12"}}


def test_a_strict_model_takes_json_s_dates_and_lists() -> None:
    said = {"day": "2024-02-29", "marks": [3]}
    assert parse(shape_of("Strict"), said).value == said


@pytest.mark.parametrize("name", ["Boat", "ADAPTER"])
def test_a_dataclass_is_validated(name: str) -> None:
    assert parse(shape_of(name), {"name": "Ann", "length": 3.14159}).value == {"name": "Ann", "length": 3.1}


def test_a_typed_dict_is_validated_and_keeps_what_is_left_out() -> None:
    assert parse(shape_of("Film"), {"title": "jaws"}).value == {"title": "JAWS"}


def test_root_models_of_lists_and_dicts_validate() -> None:
    answer = parse(shape_of("Films"), {"answer": [{"title": "jaws"}]})
    assert answer.value == [{"title": "JAWS"}]
    assert model_of("Films").validated([{"title": "jaws"}]) == [{"title": "JAWS"}]
    assert model_of("Prices").validated({"a": 1.5}) == {"a": "1.5"}


@pytest.mark.parametrize("how", ["exit", "odd", "deep", "missing"])
def test_whatever_a_validator_raises_is_that_answer_s_fault(how: str) -> None:
    answer = parse(shape_of("Fragile"), {"how": how})
    assert (answer.ok, answer.fault) == (False, "invalid")
    assert "a validator failed with" in answer.errors[0]
    assert len(answer.errors[0]) < 300


def test_what_a_validator_makes_has_to_fit_the_column() -> None:
    answer = parse(shape_of("Widened"), {"count": 3})
    assert not answer.ok
    assert "its schema does not describe: count" in answer.errors[0]


def test_names_that_differ_between_reading_and_writing_are_said_and_the_answer_stays_as_it_was() -> None:
    shape = shape_of("Renamed")
    assert any("writes fields under other names" in one for one in shape.notices)
    assert parse(shape, {"Size": 3, "word": "x"}).value == {"Size": 3, "word": "x"}


def test_an_example_is_shown_as_it_is_written_and_checked_by_the_model() -> None:
    def turns(name: str) -> str:
        given = Example(user="a", answer={"title": name})
        return str(example_turns([given], shape_of("Film"), lambda _: pytest.fail())[1].parts[0])

    assert json.loads(turns("jaws")) == {"title": "jaws", "year": None}
    with pytest.raises(SchemaError, match="upper case"):
        example_turns(
            [Example(user="a", answer={"name": "ann", "first": 1})], shape_of("Span"), lambda _: pytest.fail()
        )


@pytest.mark.parametrize("name", ["FUNCTION", "json", "Missing", "stripped"])
def test_what_is_no_model_is_refused_by_name(name: str) -> None:
    with pytest.raises(SchemaError, match=f"has no pydantic model, dataclass or TypedDict '{name}'"):
        shape_of(name)


@pytest.mark.parametrize("name", ["Span", "Offer", "Strict", "Renamed"])
def test_the_fingerprint_is_that_of_the_model_s_schema_alone(name: str) -> None:
    model = getattr(schema_models, name)
    plain = load_answer_schema(OutputSettings(path="out", schema=model.model_json_schema()))
    assert shape_of(name).digest_source == plain.digest_source
    assert shape_of(name).arrow_type == plain.arrow_type


def test_pydantic_itself_agrees_on_what_is_valid_and_on_every_value() -> None:
    shape = shape_of("Span")
    for first in (0, 3, 12):
        for name in ("A", "a", "ÉA"):
            said = {"name": name, "first": first}
            try:
                meant = schema_models.Span.model_validate(said).model_dump(mode="json")
            except ValueError:
                meant = None
            assert parse(shape, said).value == meant
