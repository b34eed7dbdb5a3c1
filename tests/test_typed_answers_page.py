"""The page on typed answers: each schema of its table has the column type that stands beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from parquill.errors import SchemaError
from tests.answer_schemas import field_type, shape_of, with_field

PAGE = Path(__file__).parents[1] / "docs" / "typed-answers.md"
ROWS = re.findall(
    r"^\|[^|`]*(?:`[^`|]*`[^|`]*)*\| `(\{.*\})` \| `(.+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
)


def test_the_table_is_read_whole() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## ")[1]
    assert len(ROWS) == sum(line.startswith("|") for line in table.splitlines()) - 2


@pytest.mark.parametrize(("schema", "column"), ROWS)
def test_each_construct_becomes_the_column_that_the_page_says(schema: str, column: str) -> None:
    field = json.loads(schema)
    root = {"$defs": field.pop("$defs")} if "$defs" in field else {}
    assert str(field_type(field, **root)) == column


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"type": "object", "additonalProperties": False}, "additonalProperties.*additionalProperties"),
        ({"$ref": "https://example.org/x.json"}, r"a/\$ref: .*lies elsewhere"),
        ({"$ref": "#/$defs/none"}, r"a/\$ref: "),
        ({"type": "integer", "maximum": 2**64}, "a/maximum: .*64 bits"),
        ({"type": "integer", "divisibleBy": 2}, "a/divisibleBy: .*multipleOf"),
        ({"allOf": [{"type": "integer"}, {"type": "string"}]}, "a/allOf: "),
    ],
)
def test_what_the_page_calls_refused_is_refused_with_its_place(field: dict[str, object], said: str) -> None:
    with pytest.raises(SchemaError, match=f"#/properties/.*{said}"):
        shape_of(with_field(field))
