"""Values written for a schema fit it."""

from __future__ import annotations

import random

import jsonschema_rs
import pytest

from parquill.emulator.patterns import matching_text
from parquill.emulator.schemas import SchemaUnusableError, SchemaWriter

NODE = {"type": "object", "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}}}
SCHEMAS = {
    "refs": {
        "$defs": {"size": {"enum": ["s", "m"]}, "a/b": {"const": 7}},
        "type": "object",
        "properties": {"size": {"$ref": "#/$defs/size"}, "n": {"$ref": "#/$defs/a~1b"}},
        "required": ["size", "n"],
        "additionalProperties": False,
    },
    "nullable": {"type": ["string", "null"], "maxLength": 5},
    "any of": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3, "maximum": 3}]},
    "one of": {"oneOf": [{"type": "boolean"}, {"type": "string", "minLength": 60, "maxLength": 61}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "open numbers": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "narrow numbers": {"type": "number", "minimum": 0.5, "maximum": 0.50001},
    "below zero": {"type": "integer", "maximum": -5},
    "steps": {"type": "integer", "multipleOf": 25, "exclusiveMinimum": 100, "maximum": 150},
    "halves": {"type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 3},
    "tenths": {"type": "number", "multipleOf": 0.1, "minimum": 0.25, "maximum": 0.35},
    "short list": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 2, "maxItems": 2},
    "different": {"type": "array", "items": {"enum": [1, 2, 3, 4]}, "minItems": 3, "uniqueItems": True},
    "empty list": {"type": "array", "maxItems": 0},
    "tuple": {"type": "array", "prefixItems": [{"const": 1}, {"type": "null"}], "items": False, "minItems": 2},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "pattern": {"type": "string", "pattern": r"^[A-Z]{2}-\d{3,4}(x|yz)?$"},
    "bounded pattern": {"type": "string", "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 4},
    "untyped": {"properties": {"a": {"type": "boolean"}}},
    "recursive": {"$defs": {"node": {"anyOf": [NODE, {"type": "null"}]}}, "$ref": "#/$defs/node"},
    "recursive list": {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["children"],
    },
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_written_value_fits_its_schema(name):
    schema = SCHEMAS[name]
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for seed in range(40):
        value = SchemaWriter(schema, random.Random(seed)).value()
        assert validator.is_valid(value), value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "banana"},
        {"enum": []},
        {"type": "array", "minItems": "two"},
    ],
)
def test_a_schema_that_cannot_be_followed_is_said_to_be_so(schema):
    with pytest.raises(SchemaUnusableError):
        SchemaWriter(schema, random.Random(0)).value()


@pytest.mark.parametrize("pattern", [r"\p{L}", "(?=a)b", "(", "[", "a{", "+", "\\"])
def test_a_pattern_that_is_not_understood_gives_none(pattern):
    assert matching_text(pattern, random.Random(0)) is None


def test_values_differ_by_seed_and_repeat_with_it():
    schema = {"type": "object", "properties": {"caption": {"type": "string"}}}
    values = [SchemaWriter(schema, random.Random(seed)).value() for seed in (1, 2, 1)]
    assert values[0] == values[2] != values[1]
