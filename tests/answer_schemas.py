"""Short ways to a schema, its shape and the value of an answer, for tests."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from parquill.answers import AnswerSchema, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

WORDS = pa.dictionary(pa.int32(), pa.string())


def shape_of(schema: Any, **settings: Any) -> AnswerSchema:
    return load_answer_schema(OutputSettings(path="out", schema=schema, **settings))


def with_field(field: Any, **root: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": field}, "required": ["a"], **root}


def field_type(field: Any, **root: Any) -> pa.DataType:
    return shape_of(with_field(field, **root)).arrow_type.field("a").type


def value_of(shape: AnswerSchema, text: str) -> Any:
    return shape.parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.JSON_SCHEMA).value
