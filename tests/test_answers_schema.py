"""What a schema may say, what becomes of it, and what is refused with its place."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydantic
import pytest

from parquill.answers import OutputMode, load_answer_schema, read_schema
from parquill.errors import SchemaError
from parquill.job import FunctionSettings, OutputSettings
from parquill.results import RESULT_COLUMNS
from tests.answer_schemas import WORDS, field_type, shape_of, value_of, with_field

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("field", "arrow"),
    [
        ({"type": "string"}, pa.string()),
        ({"type": "string", "format": "uuid"}, pa.string()),
        ({"type": "string", "format": "email"}, pa.string()),
        ({"type": "integer"}, pa.int64()),
        ({"type": "integer", "format": "int32"}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"type": ["integer", "number"]}, pa.float64()),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, pa.float64()),
        ({"type": "boolean"}, pa.bool_()),
        ({"type": "string", "format": "date"}, pa.date32()),
        ({"type": "string", "format": "date-time"}, pa.timestamp("us", tz="UTC")),
        ({"enum": ["x", "y"]}, WORDS),
        ({"const": "x"}, WORDS),
        ({"anyOf": [{"const": "x"}, {"const": "y"}]}, WORDS),
        ({"type": "integer", "enum": [1, 2]}, pa.int64()),
        ({"enum": [1, 2.5]}, pa.float64()),
        ({"const": True}, pa.bool_()),
        ({"type": ["string", "null"]}, pa.string()),
        ({"type": "integer", "nullable": True}, pa.int64()),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, pa.bool_()),
        ({"oneOf": [{"type": "null"}, {"type": "string", "format": "date"}]}, pa.date32()),
        ({"enum": ["x", None]}, WORDS),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, pa.list_(pa.list_(pa.int64()))),
        ({"type": "object", "properties": {"b": {"type": "boolean"}}}, pa.struct([("b", pa.bool_())])),
        ({"properties": {"b": {"type": "boolean"}}}, pa.struct([("b", pa.bool_())])),
        ({"$ref": "#/$defs/x"}, pa.int64()),
        ({"allOf": [{"$ref": "#/$defs/x"}], "description": "as pydantic wrote it once"}, pa.int64()),
    ],
)
def test_each_kind_of_value_has_its_arrow_type(field: Any, arrow: pa.DataType) -> None:
    assert field_type(field, **{"$defs": {"x": {"type": "integer"}}}) == arrow


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"type": ["string", "integer"]}, '[1,"x"]'),
        ({"anyOf": [{"type": "integer"}, with_field({"type": "string"})]}, '{"a":"x"}'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, '{"k":1}'),
        ({"type": "object"}, '{"k":[null]}'),
        ({"enum": ["x", 1]}, "1"),
        ({}, "[1,{}]"),
        (True, '"x"'),
    ],
)
def test_what_has_no_column_type_is_json_text_and_said_once(field: Any, text: str) -> None:
    if field == {"type": ["string", "integer"]}:
        field = {"type": "array", "items": field}
        shape = shape_of(with_field(field))
        assert shape.arrow_type.field("a").type == pa.list_(pa.string())
        assert shape.to_arrow([value_of(shape, f'{{"a":{text}}}')])[0]["a"].as_py() == ["1", '"x"']
    else:
        shape = shape_of(with_field(field))
        assert shape.arrow_type.field("a").type == pa.string()
        assert shape.to_arrow([value_of(shape, f'{{"a":{text}}}')])[0]["a"].as_py() == text
    assert len(shape.notices) == 1
    assert shape.notices[0].startswith("answer.a")
    assert "JSON text" in shape.notices[0]


def test_a_union_of_objects_is_validated_although_it_is_text() -> None:
    branches = [with_field({"const": "cat"}), with_field({"const": "dog"})]
    shape = shape_of(with_field({"oneOf": branches, "discriminator": {"propertyName": "a"}}))
    assert value_of(shape, '{"a": {"a": "dog"}}') == {"a": {"a": "dog"}}
    assert value_of(shape, '{"a": {"a": "cow"}}') is None


FAULTS: list[tuple[Any, str, str]] = [
    (with_field({"typ": "string"}), "#/properties/a/typ", "did you mean 'type'"),
    (with_field({"type": "string", "maxLenght": 3}), "#/properties/a/maxLenght", "did you mean 'maxLength'"),
    (with_field({}, additonalProperties=False), "#/additonalProperties", "did you mean 'additionalProperties'"),
    (with_field({"not": {"requierd": ["x"]}}), "#/properties/a/not/requierd", "did you mean 'required'"),
    (with_field({"type": "number", "divisibleBy": 2}), "#/properties/a/divisibleBy", "write 'multipleOf'"),
    (with_field({"type": "strin"}), "#/properties/a/type", "strin"),
    (with_field({"type": "string", "maxLength": "3"}), "#/properties/a/maxLength", "integer"),
    (with_field({"type": "string", "format": "datetime"}), "#/properties/a/format", "did you mean 'date-time'"),
    (with_field({"type": "string", "enum": [1, 2]}), "#/properties/a/enum", "1 is not of type 'string'"),
    (with_field(False), "#/properties/a", "no value fits `false`"),
    (with_field({"allOf": [{"type": "string"}, {"type": "integer"}]}), "#/properties/a/allOf", "no value fits"),
    (with_field({"allOf": [{"enum": ["x"]}], "enum": ["y"]}), "#/properties/a/enum", "contradicts"),
    (with_field({"anyOf": [False, False]}), "#/properties/a/anyOf", "no value fits"),
    (with_field({"$ref": "https://example.org/x.json"}), "#/properties/a/$ref", "lies elsewhere"),
    (with_field({"$ref": "other.json#/x"}), "#/properties/a/$ref", "lies elsewhere"),
    (with_field({"not": {"$ref": "other.json#/x"}}), "#/properties/a/not/$ref", "lies elsewhere"),
    (with_field({"$ref": "#/$defs/none"}), "#/properties/a/$ref", "points to nothing: there is no '$defs'"),
    (with_field({"$ref": "#/properties/b/2"}), "#/properties/a/$ref", "points to nothing: there is no 'b'"),
    (with_field({"$ref": "#none"}), "#/properties/a/$ref", "no schema has the anchor 'none'"),
    (with_field({"$ref": "#/properties/a"}), "#/properties/a/$ref", "leads to itself and says nothing"),
    (
        with_field({"$ref": "#/$defs/x", "type": "string"}, **{"$defs": {"x": {"type": "integer"}}}),
        "#/properties/a/type",
        "contradicts",
    ),
    (with_field({}, required=["a", "aaaab"], properties={"aaaaab": {}}), "#/required", "did you mean 'aaaaab'"),
    (with_field({}, required=["b"], additionalProperties=False), "#/required", "'b' is required, but no property"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "place", "said"), FAULTS)
def test_a_fault_is_refused_with_its_place(schema: Any, place: str, said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        shape_of(schema)
    assert place in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", sorted(RESULT_COLUMNS))
def test_a_property_may_be_named_like_a_column_of_the_output(name: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": "string"}}}
    assert shape_of(schema).arrow_type == pa.struct({name: pa.string()})


def test_a_schema_of_200_kb_loads_and_one_of_5_mb_is_refused() -> None:
    assert shape_of(with_field({"type": "string", "$comment": "x" * 200_000})).arrow_type == pa.struct({"a": "string"})
    with pytest.raises(SchemaError, match=r"#: 5000\d\d\d bytes, at most 4000000"):
        shape_of(with_field({"type": "string", "$comment": "x" * 5_000_000}))


def test_a_draft_that_is_not_known_is_guessed_and_said() -> None:
    shape = shape_of(
        with_field({"type": "number", "exclusiveMinimum": True, "minimum": 0}, **{"$schema": "https://x.org/y"})
    )
    assert shape.notices == ("#/$schema: https://x.org/y is no draft that is known; read as draft 4",)
    assert value_of(shape, '{"a": 0}') is None
    assert value_of(shape, '{"a": 1}') == {"a": 1}


def test_definitions_that_multiply_have_columns_to_the_depth_that_is_bearable() -> None:
    levels = {f"l{i}": {"properties": {k: {"$ref": f"#/$defs/l{i + 1}"} for k in "abcdefghij"}} for i in range(10)}
    shape = shape_of(with_field({"$ref": "#/$defs/l0"}, **{"$defs": levels | {"l10": {"type": "string"}}}))
    assert shape.arrow_type.field("a").type.field("j").type.field("j").type.field("j").type == pa.string()
    assert len(shape.notices) < 20


def test_a_schema_nested_without_sense_has_columns_to_24_levels() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(30):
        schema = with_field(schema)
    shape = shape_of(schema)
    assert shape.notices == (f"answer{'.a' * 25}: nested deeper than 24 levels, so it is kept as JSON text",)


def test_a_schema_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("\ufeff" + json.dumps(with_field({"type": "string"})), encoding="utf-8")
    assert shape_of(str(path)).arrow_type == pa.struct([("a", pa.string())])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"type": "object",\n "properties": }', r"s\.json:2:\d+: not valid JSON"),
        (b"[]", "a schema is a JSON object"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"type": "object", "properties": {"a": {}}, "properties": {"b": {}}}', "'properties' stands twice"),
        (b" " * 9_000_000, "9000000 bytes"),
    ],
)
def test_a_file_that_is_no_schema_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=said) as caught:
        shape_of(str(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SchemaError, match=r"nowhere\.json: no such file"):
        shape_of("nowhere.json")


MODEL = """
from datetime import date
from enum import Enum
from typing import Literal
from pydantic import BaseModel, Field

class Kind(Enum):
    BOOK = "book"
    FILM = "film"

class Maker(BaseModel):
    name: str = Field(description="who made it")
    born: date | None = None

class Thing(BaseModel):
    title: str
    kind: Kind
    makers: list[Maker]
    shelf: Literal["a", "b"] | None = None
"""


def test_a_schema_comes_from_a_pydantic_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answers_model_for_test.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", str(ROOT), *sys.path])
    shape = shape_of("answers_model_for_test:Thing")
    assert shape.arrow_type == pa.struct(
        [
            ("title", pa.string()),
            ("kind", WORDS),
            ("makers", pa.list_(pa.struct([("name", pa.string()), ("born", pa.date32())]))),
            ("shelf", WORDS),
        ]
    )
    with pytest.raises(SchemaError, match="no pydantic model, dataclass or TypedDict 'Kind'"):
        shape_of("answers_model_for_test:Kind")


def test_a_model_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(SchemaError, match="no_such_module_at_all"):
        shape_of("no_such_module_at_all:Thing")


class _Point(pydantic.BaseModel):
    x: int


def test_a_model_inside_a_test_module_is_found_by_its_dotted_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "some.package", __import__("types").SimpleNamespace(Point=_Point))
    assert shape_of("some.package:Point").arrow_type == pa.struct([("x", pa.int64())])


def test_the_fingerprint_s_source_follows_meaning_not_spelling() -> None:
    plain = with_field({"type": "string", "description": "Short"})
    titled = {"title": "T", "$comment": "c", **with_field({"description": "Short", "type": "string", "title": "A"})}
    other = with_field({"type": "string", "description": "Long"})
    assert shape_of(plain).digest_source == shape_of(titled).digest_source
    assert shape_of(plain).digest_source != shape_of(other).digest_source
    assert shape_of(plain, mode="tools").digest_source == shape_of(plain).digest_source
    assert shape_of(None).digest_source != shape_of(None, max_chars=9).digest_source


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "json_schema"}, "output.mode: json_schema needs"),
        ({"schema": with_field({}), "max_chars": 9}, "maxLength"),
        ({"functions": []}, "the list is empty"),
        ({"functions": [FunctionSettings(name="f"), FunctionSettings(name="F")]}, "stands twice"),
        ({"functions": [FunctionSettings(name="f", parameters={"type": "string"})]}, r"functions\[0\].parameters: #"),
        (
            {"functions": [FunctionSettings(name="f", parameters=with_field({"typ": "x"}))]},
            r"output.functions\[0\].parameters: #/properties/a/typ",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        load_answer_schema(OutputSettings(path="out", **settings))


@pytest.mark.parametrize("name", ["caption", "tag"])
def test_the_schemas_that_come_along_have_a_column_for_everything(name: str) -> None:
    shape = shape_of(str(ROOT / f"configs/schemas/{name}.json"))
    assert shape.notices == ()
    assert shape.settings_for(OutputMode.JSON_SCHEMA)["response_format"]["json_schema"]["strict"] is True


NESTED_ENUMS = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "inner": {"type": ["object", "null"], "properties": {"kind": {"enum": ["c"]}}, "required": ["kind"]},
        "some": {"type": "array", "items": {"type": "object", "properties": {"kind": {"enum": ["d"]}}}},
    },
    "required": ["kind", "inner", "some"],
}


def test_enums_under_nulls_are_sound_and_can_be_joined() -> None:
    """pyarrow puts index 0 into an empty dictionary there, and joining such arrays read wild memory and died."""
    shape = shape_of(NESTED_ENUMS)
    full = {"kind": "b", "inner": {"kind": "c"}, "some": [{"kind": "d"}, {"kind": None}]}
    bare = {"kind": "a", "inner": None, "some": []}
    chunks = [[full, bare], [None, None], [None, bare], [None, full]]
    arrays = [shape.to_arrow(chunk) for chunk in chunks]
    for array, chunk in zip(arrays, chunks, strict=True):
        array.validate(full=True)
        assert array.to_pylist() == chunk
    joined = pa.chunked_array(arrays).take(pa.array(range(8)))
    joined.validate(full=True)
    assert joined.to_pylist() == [value for chunk in chunks for value in chunk]


def test_no_address_in_a_schema_is_ever_asked() -> None:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        for document in (
            {"$schema": f"{base}/internal", "type": "object", "properties": {"a": {"type": "string"}}},
            {"type": "object", "properties": {"a": {"$ref": f"{base}/ref"}}},
            {"type": "object", "properties": {"a": {"$schema": f"{base}/x", "$id": f"{base}/y", "type": "string"}}},
        ):
            started = time.monotonic()
            with contextlib.suppress(SchemaError):
                read_schema(document)
                load_answer_schema(OutputSettings(path="o", schema=document))
            assert time.monotonic() - started < 5
            with contextlib.suppress(TimeoutError):
                asked.append(str(server.accept()[1]))
    assert asked == []
