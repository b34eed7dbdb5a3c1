"""What becomes of each construct of JSON Schema: its type, what fits, what does not, and what is only said."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from parquill.answers import OutputMode
from parquill.errors import SchemaError
from parquill.results import reading
from tests.answer_schemas import WORDS, shape_of, value_of, with_field

INT, TEXT = pa.int64(), pa.string()
INTEGER, STRING = {"type": "integer"}, {"type": "string"}
NAMES_A = {"required": ["a"]}

IGNORED = [
    ({"id": "x", "$schema": "http://json-schema.org/draft-04/schema#"}, ""),
    ({"self": {"vendor": "v", "name": "n"}}, "self"),
    ({"x-kubernetes-group-version-kind": []}, "x-kubernetes-group-version-kind"),
    ({"markdownDescription": "m"}, "markdownDescription"),
    ({"enumNames": ["X"]}, "enumNames"),
    ({"readonly": True}, "readonly"),
    ({"tsAdditionalProperties": False}, "tsAdditionalProperties"),
    ({"patterns": {"a": {}}}, "patterns"),
    ({"example": {"a": "x"}}, None),
]


@pytest.mark.parametrize(("words", "named"), IGNORED)
def test_words_that_do_nothing_are_ignored_and_said_in_one_notice(words: dict[str, Any], named: str | None) -> None:
    shape = shape_of(with_field({"type": "string", **words}, **words))
    assert shape.arrow_type == pa.struct({"a": pa.string()})
    said = [notice for notice in shape.notices if "ignored" in notice]
    assert len(said) == (named is not None)
    assert (named or "") in "".join(said)


def test_a_word_for_another_type_and_an_unknown_format_are_said_to_have_no_effect() -> None:
    shape = shape_of(with_field({"type": "array", "items": {"type": "string", "format": "color"}, "maxLength": 3}))
    (said,) = shape.notices
    assert said.startswith("without effect: ")
    assert "#/properties/a/maxLength: a word for string" in said
    assert "#/properties/a/items/format: the format 'color' is not known" in said


REST = pa.struct({"a": INT, "additional_properties": TEXT})
STRUCTURES: list[tuple[Any, Any, pa.DataType, list[Any], list[Any]]] = [
    # what stands there, beside the root, the type, values that fit, values that do not
    ({"properties": {}}, {}, TEXT, [{}, {"x": 1}], [3]),
    ({"properties": {}, "minProperties": 1}, {}, TEXT, [{"x": 1}], [{}]),
    ({"patternProperties": {"^x": INTEGER}, "type": "object"}, {}, TEXT, [{"x": 1}], [{"x": "1"}]),
    (
        {"properties": {"a": INTEGER}, "additionalProperties": True},
        {},
        REST,
        [{"a": 1, "b": [2]}],
        [{"a": "x"}],
    ),
    (
        {"properties": {"a": INTEGER}, "additionalProperties": STRING},
        {},
        REST,
        [{"a": 1, "b": "x"}, {"b": "x"}],
        [{"b": 2}],
    ),
    (
        {"allOf": [{"properties": {"a": INTEGER}}, {"properties": {"b": STRING}, "required": ["b"]}]},
        {},
        pa.struct({"a": INT, "b": TEXT}),
        [{"a": 1, "b": "x"}],
        [{"a": 1}],
    ),
    (
        {"properties": {"a": INTEGER, "b": INTEGER}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        pa.struct({"a": INT, "b": INT}),
        [{"a": 1}, {"b": 1}],
        [{}],
    ),
    ({"type": "string", "anyOf": [{"maxLength": 1}, {"pattern": "^x"}]}, {}, TEXT, ["a", "xyz"], ["abc", 1]),
    ({"prefixItems": [INTEGER, INTEGER], "maxItems": 2}, {}, pa.list_(INT), [[1, 2]], [[1, 2, 3], ["x"]]),
    ({"prefixItems": [INTEGER, STRING]}, {}, TEXT, [[1, "x"]], [["x", 1]]),
    ({"$ref": "#/$defs/t/anyOf/1"}, {"$defs": {"t": {"anyOf": [{}, INTEGER]}}}, INT, [1], ["x"]),
    ({"$ref": "#/$defs/a%20b~1c"}, {"$defs": {"a b/c": INTEGER}}, INT, [1], ["x"]),
    ({"$ref": "#here"}, {"$defs": {"x": {"$anchor": "here", "type": "integer"}}}, INT, [1], ["x"]),
    (
        {"$ref": "part#/$defs/y"},
        {"$id": "https://e.org/root", "$defs": {"x": {"$id": "part", "$defs": {"y": INTEGER}}}},
        INT,
        [1],
        ["x"],
    ),
    ({"type": "integer", "not": {"const": 3}}, {}, INT, [1], [3]),
    (
        {"properties": {"a": INTEGER}, "if": NAMES_A, "then": {"properties": {"b": INTEGER}, "required": ["b"]}},
        {},
        pa.struct({"a": INT, "b": INT}),
        [{"a": 1, "b": 2}, {}],
        [{"a": 1}],
    ),
    (
        {"properties": {"a": INTEGER, "b": INTEGER}, "dependentRequired": {"a": ["b"]}},
        {},
        pa.struct({"a": INT, "b": INT}),
        [{"b": 1}, {"a": 1, "b": 1}],
        [{"a": 1}],
    ),
    ({"type": "array", "items": INTEGER, "enum": [[1], [2, 3]]}, {}, pa.list_(INT), [[1]], [[4]]),
    ({"type": "number", "enum": [1, 2], "minimum": 2}, {}, pa.float64(), [2], [1]),
    ({"type": "null"}, {}, TEXT, [None], [1]),
    ({"type": "string", "enum": ["x", 1]}, {}, WORDS, ["x"], [1]),
    ({"properties": {"x": {}, "X": {}}}, {}, TEXT, [{"x": 1, "X": 2}], [3]),
    ({"required": ["q"], "type": "object"}, {}, pa.struct({"q": TEXT}), [{"q": 1}], [{}]),
    ({"type": "string", "pattern": r"\A[\w-.]+\Z"}, {}, TEXT, ["a-b.c"], ["a b"]),
    ({"type": "string", "pattern": "^(?!x)"}, {}, TEXT, ["a"], ["xa"]),
    ({"type": "string", "format": "email"}, {}, TEXT, ["a@b.co"], ["nonsense"]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "root", "arrow", "valid", "invalid"), STRUCTURES)
def test_every_construct_has_a_type_keeps_what_fits_and_refuses_what_does_not(
    field: Any, root: Any, arrow: pa.DataType, valid: list[Any], invalid: list[Any]
) -> None:
    shape = shape_of(with_field(field, **root))
    assert shape.arrow_type.field("a").type == arrow
    for value in valid:
        answer = {"a": value}
        assert value_of(shape, json.dumps(answer)) == answer
        column = pa.chunked_array([shape.to_arrow([answer])])
        (back,) = reading(shape.json_text)(column)
        assert _without_nulls(back) == _without_nulls(answer)
    for value in invalid:
        assert value_of(shape, json.dumps({"a": value})) is None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def test_openapi_s_nullable_is_understood_by_the_check_too() -> None:
    for field in ({"type": "string", "nullable": True}, {"enum": ["x"], "type": "string", "nullable": True}):
        assert value_of(shape_of(with_field(field)), '{"a": null}') == {"a": None}
    linked = shape_of(with_field({"$ref": "#/$defs/x", "nullable": True}, **{"$defs": {"x": {"type": "integer"}}}))
    assert linked.arrow_type == pa.struct({"a": INT})
    assert value_of(linked, '{"a": null}') == {"a": None}


def test_numbers_under_keys_that_the_schema_does_not_name_are_as_exact_as_others() -> None:
    shape = shape_of({"properties": {"a": {"type": "number"}}, "additionalProperties": True})
    for text, number in (("1e18", 10.0**18), ("3.402823466E+38", 3.402823466e38), ("18446744073709551615", 2**64 - 1)):
        value = value_of(shape, f'{{"a": 1, "b": [{{"c": {text}}}]}}')
        assert value == {"a": 1, "b": [{"c": number}]}
        (back,) = reading(shape.json_text)(pa.chunked_array([shape.to_arrow([value])]))
        assert back == value
    for text in ("18446744073709551617", "0.1234567890123456789012"):
        assert value_of(shape, f'{{"a": 1, "b": {text}}}') is None


def test_a_repair_beside_them_keeps_the_keys_that_the_schema_does_not_name() -> None:
    shape = shape_of({"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": True})
    assert value_of(shape, '{"a": "1", "b": [2]}') == {"a": 1, "b": [2]}


def test_a_definition_inside_itself_has_columns_three_times_and_is_json_text_below() -> None:
    comment = {
        "type": "object",
        "properties": {"text": STRING, "replies": {"type": "array", "items": {"$ref": "#/$defs/c"}}},
    }
    shape = shape_of({"$ref": "#/$defs/c", "$defs": {"c": comment}})
    level = shape.arrow_type
    for _ in range(3):
        level = level.field("replies").type.value_type
    assert level == pa.struct({"text": TEXT, "replies": pa.list_(TEXT)})
    deep: dict[str, Any] = {"text": "end", "replies": []}
    for i in range(8):
        deep = {"text": str(i), "replies": [deep]}
    assert value_of(shape, json.dumps(deep)) == deep
    (back,) = reading(shape.json_text)(pa.chunked_array([shape.to_arrow([deep])]))
    assert back == deep
    assert value_of(shape, '{"text": "x", "replies": [{"text": 3}]}') is None


@pytest.mark.parametrize(
    ("schema", "arrow", "value"),
    [
        ({"type": "array", "items": {"type": "integer"}}, pa.list_(INT), [1, 2]),
        ({"type": "string", "maxLength": 3}, TEXT, "abc"),
        ({"type": "integer"}, INT, 7),
        ({"enum": ["x", "y"]}, WORDS, "y"),
        ({"type": ["object", "null"], "properties": {"a": {"type": "integer"}}}, pa.struct({"a": INT}), {"a": 1}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, TEXT, 7),
    ],
)
def test_a_root_that_is_no_object_is_asked_for_inside_one_and_stands_bare_in_the_column(
    schema: Any, arrow: pa.DataType, value: Any
) -> None:
    shape = shape_of(schema)
    sent = shape.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]["schema"]
    assert (sent["type"], list(sent["properties"])) == ("object", ["answer"])
    assert shape.arrow_type == arrow
    for text in (json.dumps({"answer": value}), json.dumps(value)):
        assert value_of(shape, text) == value
    assert value_of(shape, '{"answer": [null, 1.5]}') is None


def test_an_api_s_wrapper_around_a_schema_is_taken_off() -> None:
    bare = with_field({"type": "string"})
    wrappers: list[Any] = [
        {"name": "answer", "strict": True, "schema": bare},
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": bare}},
        {"type": "function", "function": {"name": "f", "parameters": bare}},
        {"name": "f", "description": "d", "input_schema": bare},
    ]
    for wrapper in wrappers:
        assert shape_of(wrapper).digest_source == shape_of(bare).digest_source
    with pytest.raises(SchemaError, match="#/schema/properties/a/typ: "):
        shape_of({"name": "x", "schema": with_field({"typ": "string"})})


def test_google_s_order_of_properties_is_that_of_the_columns() -> None:
    schema = {"type": "object", "properties": {"a": STRING, "b": STRING}, "propertyOrdering": ["b", "a"]}
    assert shape_of(schema).arrow_type.names == ["b", "a"]


def test_the_digest_of_a_schema_that_loaded_before_is_as_it_was() -> None:
    """Frozen bytes: a change would ask every row of earlier outputs again."""
    schema = with_field(
        {"anyOf": [{"type": "string", "format": "email", "maxLength": 9}, {"type": "null"}]},
        **{"$defs": {"x": {"enum": [1, 2], "type": "integer", "minimum": 2}}},
    )
    schema["properties"] |= {"b": {"$ref": "#/$defs/x", "description": "d"}, "c": {"type": "object"}}
    assert shape_of(schema).digest_source == (
        b'{"type":"object","properties":{"a":{"type":["string","null"],"maxLength":9},"b":{"description":"d",'
        b'"type":["integer","null"],"enum":[1,2,null]},"c":{"type":["object","null"],"additionalProperties":{}}},'
        b'"required":["a","b","c"],"additionalProperties":false}'
    )


def test_a_property_that_alternatives_refer_to_alike_has_the_type_of_what_they_refer_to() -> None:
    price = {"properties": {"price": {"$ref": "#/$defs/price"}}}
    alternatives = [{**price, "required": ["price"]}, {**price, "required": ["a"]}]
    shape = shape_of({"properties": {"a": STRING}, "anyOf": alternatives, "$defs": {"price": INTEGER}})
    assert shape.arrow_type == pa.struct({"a": TEXT, "price": INT})


def test_a_reference_to_any_value_is_any_value() -> None:
    plain, linked = with_field({}), with_field({"$ref": "#/$defs/any"}, **{"$defs": {"any": True}})
    assert shape_of(linked).digest_source == shape_of(plain).digest_source
    assert shape_of(linked).notices == ("answer.a: no type is given, so it is kept as JSON text",)
    with pytest.raises(SchemaError, match=r"#/properties/a/\$ref: no value fits `false`"):
        shape_of(with_field({"$ref": "#/$defs/no"}, **{"$defs": {"no": False}}))


def test_an_object_of_more_properties_than_columns_can_be_is_json_text() -> None:
    shape = shape_of({"type": "object", "properties": {f"p{i}": INTEGER for i in range(2_500)}})
    assert (shape.arrow_type, len(shape.notices)) == (TEXT, 1)
    assert value_of(shape, '{"p7": 1}') == {"p7": 1}
    assert value_of(shape, '{"p7": "x"}') is None


@pytest.mark.parametrize("key", ["anyOf", "oneOf"])
def test_a_branch_that_contradicts_what_stands_beside_the_union_is_none(key: str) -> None:
    branches = [{"type": "array", "maxItems": 1}, {"type": ["string", "null"]}, {"type": "integer"}]
    shape = shape_of(with_field({"type": ["integer", "string"], key: branches}))
    assert [value_of(shape, f'{{"a": {text}}}') for text in ("3", '"x"', "[]")] == [{"a": 3}, {"a": "x"}, None]
    bounded = shape_of(with_field({"minimum": 3, key: [{"type": "integer"}, {"type": "string", "minimum": 4}]}))
    assert [value_of(bounded, f'{{"a": {text}}}') for text in ("3", "2", '"x"')] == [{"a": 3}, None, {"a": "x"}]


def test_a_pattern_that_no_engine_takes_is_refused_with_its_place() -> None:
    for field in ({"type": "string", "pattern": "("}, {"type": "object", "patternProperties": {"(": {}}}):
        with pytest.raises(SchemaError, match=r"#/properties/a/pattern.*cannot be used: no regular expression"):
            shape_of(with_field(field))


def test_words_that_are_only_checked_are_part_of_the_digest() -> None:
    plain, checked = {"type": "integer"}, {"type": "integer", "not": {"const": 3}}
    assert shape_of(with_field(plain)).digest_source != shape_of(with_field(checked)).digest_source
