"""Columns that cannot stand in a part are refused before anything is sent; all others survive every command."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
import pytest

from parquill.errors import ManifestError
from parquill.planning import RunOptions
from parquill.planning.column_check import made_up, why_unwritable
from parquill.report.write import write_report
from tests.e2e.kit import Rehearsal, rehearsal

SIMPLE = [
    pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(),
    pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal32(5, 2), pa.decimal64(10, 2),
    pa.decimal128(20, 3), pa.decimal256(60, 3), pa.string(), pa.large_string(), pa.string_view(), pa.binary(),
    pa.large_binary(), pa.binary_view(), pa.binary(3), pa.binary(0), pa.date32(), pa.date64(), pa.time32("s"),
    pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"),
    pa.timestamp("ns", "Europe/Berlin"), pa.duration("s"), pa.duration("ns"), pa.month_day_nano_interval(),
    pa.uuid(), pa.json_(), pa.bool8(), pa.opaque(pa.int32(), "a", "b"), pa.fixed_shape_tensor(pa.int32(), [2]),
    pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.int64()),
    pa.dictionary(pa.int8(), pa.float64()),
    pa.run_end_encoded(pa.int32(), pa.string()),
    pa.dense_union([pa.field("a", pa.int32()), pa.field("b", pa.string())]),
    pa.sparse_union([pa.field("a", pa.int32())]), pa.struct([]),
]  # fmt: skip


def nested(kind: pa.DataType) -> list[pa.DataType]:
    """Each way to put a type into another."""
    return [
        pa.list_(kind), pa.large_list(kind), pa.list_view(kind), pa.large_list_view(kind), pa.list_(kind, 2),
        pa.list_(kind, 0), pa.struct([("a", kind)]), pa.struct([pa.field("a", kind, nullable=pt.is_null(kind))]),
        pa.map_(pa.string(), kind),
    ]  # fmt: skip


INNER = [pa.null(), pa.int32(), pa.string(), pa.string_view(), pa.struct([]), pa.dictionary(pa.int8(), pa.string()),
         pa.month_day_nano_interval(), pa.list_(pa.null()), pa.binary(0)]  # fmt: skip
KINDS = [*SIMPLE, *(outer for kind in INNER for outer in nested(kind))]
REFUSED = {str(kind) for kind in KINDS if why_unwritable(pa.table({"x": made_up(kind)})) is not None}


def test_the_types_tried_here_are_all_that_pyarrow_has() -> None:
    tells = [name for name in dir(pt) if name.startswith("is_")]
    missing = {name for name in tells if not any(getattr(pt, name)(kind) for kind in KINDS)}
    assert missing == {"is_boolean_value", "is_float_value", "is_integer_value"}, missing  # they look at values


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_refused_is_what_pyarrows_own_writer_cannot_bring_back(kind: pa.DataType) -> None:
    """By `write_table` and `read_table` with their defaults, of nothing and of values."""
    tables = [pa.table({"x": pa.nulls(0, kind)}), pa.table({"x": made_up(kind)})]
    comes_back = True
    for table in tables:
        sink = io.BytesIO()
        try:
            pq.write_table(table, sink)
            comes_back &= pq.read_table(pa.BufferReader(sink.getvalue())).equals(table)
        except (pa.ArrowException, OSError):
            comes_back = False
    assert (str(kind) not in REFUSED) == comes_back


def test_the_refused_types_are_these() -> None:
    """A guard against refusing more than before without a word; nested ones hold one of these."""
    assert {str(kind) for kind in SIMPLE} & REFUSED == {
        "struct<>", "month_day_nano_interval", "fixed_size_binary[0]", "date64[ms]", "time32[s]", "timestamp[s]",
        "run_end_encoded<run_ends: int32, values: string>", "dense_union<a: int32=0, b: string=1>",
        "sparse_union<a: int32=0>", "dictionary<values=int64, indices=int32, ordered=0>",
        "dictionary<values=double, indices=int8, ordered=0>",
    }  # fmt: skip


def from_parquet(kind: pa.DataType) -> pa.DataType | None:
    """The type that a column of a Parquet manifest has when it was written from this one; None: it cannot be."""
    sink = io.BytesIO()
    try:
        pq.write_table(pa.table({"x": made_up(kind)}), sink)
    except (pa.ArrowException, OSError):
        return None
    return pq.read_schema(pa.BufferReader(sink.getvalue())).field("x").type


def every_column() -> pa.Table:
    """A manifest with a column of every type that a Parquet file can bring, nulls and values in it."""
    columns: dict[str, Any] = {"id": ["a", "b", "c"], "text": ["one", "two", "three"]}
    for kind in KINDS:
        if from_parquet(kind) is not None:
            columns[f"c{len(columns)}"] = made_up(kind)
    return pa.table(columns)


async def test_columns_of_every_type_survive_a_run_its_resume_a_change_and_each_look_at_it(tmp_path: Path) -> None:
    table = every_column()
    assert table.num_columns > 80
    async with rehearsal(tmp_path, sections={"prompt": {"user_column": "text"}}) as run:
        run.write(table, "m/a.parquet")
        run.write({"id": ["d"], "text": ["four"]}, "m/b.parquet")  # a file that has none of them
        run.sections["manifest"] = {"path": str(tmp_path / "m")}
        assert (await run.run(RunOptions(limit=1))).rows.ok == 1
        assert (await run.run()).requests == 3
        await run.must_hold()
        assert (await run.run()).requests == 0
        run.write(table.set_column(1, "text", pa.array(["one", "two", "five"])), "m/a.parquet")
        assert (await run.run()).requests == 1
        await run.must_hold()
        await write_report(run.job())
        read = pq.read_table(run.output / "a.000000.parquet")
    for name in table.column_names[2:]:
        assert read.column(name).to_pylist() == table.column(name).to_pylist(), table.schema.field(name)


async def refused(run: Rehearsal, path: Path, **manifest: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        await run.run(manifest={"path": str(path), **manifest})
    assert run.asked == 0
    return str(caught.value)


async def test_a_column_that_cannot_be_written_is_refused_by_name_and_type_and_nothing_is_sent(tmp_path: Path) -> None:
    rows = [{"id": n, "text": "x", "meta": {}, "more": [{"deep": {}}]} for n in ("a", "b")]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with rehearsal(tmp_path) as run:
        told = await refused(run, path)
        assert "column 'meta' has the type struct<>" in told
        assert "column 'more' has the type list<item: struct<deep: struct<>>>" in told
        assert "keep_columns" in told
        ended = await run.command("run", manifest={"path": str(path)})
        assert (ended.status, run.asked) == (2, 0)
        assert (await run.run(manifest={"path": str(path), "keep_columns": ["text"]})).rows.ok == 2
        await run.must_hold(manifest={"path": str(path), "keep_columns": ["text"]})


async def test_lists_that_hold_nothing_are_kept(tmp_path: Path) -> None:
    """pyarrow breaks such a column when it is cast to its own type: two rows were paid, no part was written."""
    async with rehearsal(tmp_path) as run:
        run.write({"id": ["a", "b"], "text": ["x", "y"], "tags": [[None, None, None], [None]]})
        assert (await run.run()).rows.ok == 2
        await run.must_hold()
        assert run.column("tags") == [[None, None, None], [None]]
