"""DuckDB, Polars and pandas read columns of maps, unions, open objects and definitions inside themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.answer_schemas import shape_of, value_of

SCHEMA = {
    "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "union": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]},
        "open": {"properties": {"x": {"type": "integer"}}, "additionalProperties": True},
        "tree": {"$ref": "#/$defs/tree"},
    },
    "$defs": {
        "tree": {"properties": {"n": {"type": "integer"}, "of": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    },
}
LEAF = {"n": 5, "of": []}
DEEP = {"n": 1, "of": [{"n": 2, "of": [{"n": 3, "of": [{"n": 4, "of": [LEAF]}]}]}]}
ANSWER = {"map": {"k": 7}, "union": ["u"], "open": {"x": 1, "y": [2]}, "tree": DEEP}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = shape_of(SCHEMA)
    assert value_of(shape, json.dumps(ANSWER)) == ANSWER
    path = tmp_path_factory.mktemp("readers") / "answers.parquet"
    pq.write_table(pa.table({"answer": shape.to_arrow([ANSWER, None])}), path)
    return path


def by_duckdb(file: Path) -> list[Any]:
    return [row[0] for row in duckdb.sql(f"select answer from '{file}'").fetchall()]


def by_polars(file: Path) -> list[Any]:
    return pl.read_parquet(file)["answer"].to_list()


def by_pandas(file: Path) -> list[Any]:
    frame = pd.read_parquet(file, dtype_backend="pyarrow")
    return list(pa.array(frame["answer"]).to_pylist())


@pytest.mark.parametrize("read", [by_duckdb, by_polars, by_pandas])
def test_other_readers_see_columns_where_there_are_types_and_json_text_where_there_are_none(
    read: Any, file: Path
) -> None:
    answer, nothing = read(file)
    assert nothing is None or set(nothing.values()) == {None}
    assert (json.loads(answer["map"]), json.loads(answer["union"])) == (ANSWER["map"], ANSWER["union"])
    assert (answer["open"]["x"], json.loads(answer["open"]["additional_properties"])) == (1, {"y": [2]})
    level = answer["tree"]
    for depth in (1, 2, 3, 4):
        assert level["n"] == depth
        (level,) = level["of"]
    assert json.loads(level) == LEAF
