"""The answer column as people read it, the answers of each output mode, and the lazy imports."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.answers import OutputMode, load_answer_schema
from parquill.chat import ChatCompletion, ToolCall
from parquill.job import OutputSettings

ROOT = Path(__file__).parents[1]
TAG = load_answer_schema(OutputSettings(path="out", schema=str(ROOT / "configs/schemas/tag.json")))
BILL = {
    "topic": "Repair of a roof",
    "document_type": "invoice",
    "language": "de",
    "tags": ["roof", "tiles"],
    "entities": [{"name": "Dach GmbH", "kind": "organisation"}, {"name": "Ülzen", "kind": "place"}],
    "date": "2024-05-03",
    "sensitive": False,
}
LETTER = BILL | {"document_type": "letter", "tags": [], "entities": [], "date": None, "sensitive": True}


def reply(text: str, *calls: ToolCall, reason: str = "stop") -> ChatCompletion:
    return ChatCompletion(None, None, None, text, calls, reason, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts: with answers, with others, and with none at all."""
    path = tmp_path_factory.mktemp("out")
    for i, values in enumerate(([BILL, None], [LETTER], [None, None])):
        answers = [
            None if value is None else TAG.parse(reply(json.dumps(value)), OutputMode.PROMPT).value for value in values
        ]
        table = pa.table({"id": pa.array(range(i * 2, i * 2 + len(values))), "answer": TAG.to_arrow(answers)})
        pq.write_table(table, path / f"{i}.parquet")
    return path


def test_duckdb_reads_nested_fields_by_name(folder: Path) -> None:
    import duckdb

    rows = duckdb.sql(
        f"select id, answer.document_type, answer.entities[1].kind, answer.date, answer.sensitive, len(answer.tags) "
        f"from '{folder}/*.parquet' order by id"
    ).fetchall()
    assert rows[:3] == [
        (0, "invoice", "organisation", dt.date(2024, 5, 3), False, 2),
        (1, None, None, None, None, None),
        (2, "letter", None, None, True, 0),
    ]


def test_polars_reads_nested_fields_by_name(folder: Path) -> None:
    import polars as pl

    table = pl.read_parquet(folder / "*.parquet").sort("id").unnest("answer")
    assert table["date"].to_list() == [dt.date(2024, 5, 3), None, None, None, None]
    assert table["document_type"].cast(pl.String).to_list()[:3] == ["invoice", None, "letter"]
    names = table["entities"].list.eval(pl.element().struct.field("name")).to_list()
    assert names[0] == ["Dach GmbH", "Ülzen"]


def test_pandas_reads_nested_fields_by_name(folder: Path) -> None:
    import pandas as pd

    plain = pd.read_parquet(folder).sort_values("id")["answer"]
    assert plain.str["document_type"].dropna().tolist() == ["invoice", "letter"]
    assert plain.iloc[0]["entities"][1]["name"] == "Ülzen"
    typed = pd.read_parquet(folder, dtype_backend="pyarrow").sort_values("id")["answer"]
    assert typed.struct.field("sensitive").tolist()[:3] == [False, pd.NA, True]
    assert typed.struct.field("date").iloc[0] == dt.date(2024, 5, 3)


def test_a_part_without_any_answer_has_the_same_schema(folder: Path) -> None:
    schemas = [pq.read_schema(folder / f"{i}.parquet") for i in range(3)]
    assert schemas[0] == schemas[1] == schemas[2]


def test_a_forced_call_is_an_answer_like_text() -> None:
    answer = TAG.parse(reply("", ToolCall("answer", json.dumps(BILL)), reason="tool_calls"), OutputMode.TOOLS)
    assert (answer.value, answer.text) == (BILL, json.dumps(BILL))
    assert TAG.parse(reply(json.dumps(BILL)), OutputMode.TOOLS).value == BILL


def test_the_same_call_twice_is_one_answer_and_two_are_none() -> None:
    twice = (ToolCall("answer", json.dumps(BILL)), ToolCall("answer", json.dumps(BILL)))
    assert TAG.parse(reply("", *twice, reason="tool_calls"), OutputMode.TOOLS).ok
    answer = TAG.parse(
        reply("", twice[0], ToolCall("answer", json.dumps(LETTER)), reason="tool_calls"), OutputMode.TOOLS
    )
    assert (answer.fault, answer.errors) == ("invalid", ("several calls, and one is wanted",))


def test_a_string_that_loops_up_to_its_length_limit_is_a_loop_although_it_fits() -> None:
    looping = BILL | {"entities": [{"name": "Roof of the " * 9 + "Roof of", "kind": "other"}] * 2}
    assert TAG.parse(reply(json.dumps(looping)), OutputMode.JSON_SCHEMA).ok
    caption = load_answer_schema(OutputSettings(path="out", schema=str(ROOT / "configs/schemas/caption.json")))
    value = {"tags": [], "dominant_colours": [], "contains_text": False, "language": "en"}
    answer = caption.parse(reply(json.dumps({"caption": "a red car and " * 21, **value})), OutputMode.JSON_SCHEMA)
    assert answer.fault == "loop"


def test_what_a_job_of_plain_text_does_not_need_is_not_imported() -> None:
    """Together they take a third of a second, as long as all the rest of the start."""
    code = (
        "import sys; from parquill.answers import load_answer_schema; from parquill.job import OutputSettings; "
        "load_answer_schema(OutputSettings(path='out')); "
        "print([name for name in ('jsonschema_rs', 'json_repair', 'jsonschema', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
