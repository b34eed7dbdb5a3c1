"""Every reader of Parquet reads the output folder as it is; a notebook runs a job as a script does."""

from __future__ import annotations

import base64
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
from PIL import Image

import parquill
from tests.e2e.kit import Rehearsal, rehearsal, rows

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"caption": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["caption", "tags"],
    "additionalProperties": False,
}
TYPED = {"output": {"schema": SCHEMA, "rows_per_part": 4}}


async def answered(run: Rehearsal) -> list[dict[str, Any]]:
    run.write(rows(10))
    summary = await run.run()
    assert summary.rows.ok == 10
    found: list[dict[str, Any]] = run.column("answer")
    return found


async def test_pandas_pyarrow_polars_and_duckdb_read_the_folder(tmp_path: Path) -> None:
    import duckdb
    import pandas
    import polars

    async with rehearsal(tmp_path, sections=TYPED) as run:
        answers = await answered(run)
        assert set(answers[0]) == {"caption", "tags"}
        assert run.table().schema.field("cost_usd").type == pa.decimal128(18, 12)
        total = sum(run.column("cost_usd"))
        assert isinstance(total, Decimal) and total > 0

        frame = pandas.read_parquet(run.output)
        assert [dict(answer)["caption"] for answer in frame["answer"]] == [answer["caption"] for answer in answers]
        assert frame["cost_usd"].sum() == total

        table = pyarrow.dataset.dataset(run.output).to_table()
        assert table.column("answer").to_pylist() == answers

        lazy = polars.scan_parquet(f"{run.output}/*.parquet").select(polars.col("answer").struct.field("caption"))
        assert lazy.collect()["caption"].to_list() == [answer["caption"] for answer in answers]
        read = polars.read_parquet(run.output)
        assert read["cost_usd"].sum() == total

        query = f"select answer.caption, cost_usd from '{run.output}/*.parquet'"
        found = duckdb.sql(query).fetchall()
        assert [caption for caption, _ in found] == [answer["caption"] for answer in answers]
        assert sum(cost for _, cost in found) == total
        tags = duckdb.sql(f"select unnest(answer.tags) from '{run.output}/*.parquet'").fetchall()
        assert [tag for (tag,) in tags] == [tag for answer in answers for tag in answer["tags"]]


async def test_the_python_interface_works_where_a_loop_is_running(tmp_path: Path) -> None:
    """As in a notebook. The embedded emulator, since the loop is not free to serve another."""
    async with rehearsal(tmp_path, sections={"model": {"endpoint": "emulator"}}) as run:
        run.write(rows(6))
        summary = parquill.run(run.source(), ["output.rows_per_part=2"])
        assert (summary.rows.ok, summary.exit_status) == (6, 0)
        assert parquill.verify(run.source(), {"output.rows_per_part": 2}).holds
        assert parquill.run(parquill.load_job(run.source(), ["output.rows_per_part=2"])).requests == 0


async def test_pictures_of_examples_are_sent_with_every_row(tmp_path: Path) -> None:
    """A local path means nothing to an endpoint: the picture itself must be in the request."""
    picture = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(picture, "PNG")
    (tmp_path / "red.png").write_bytes(picture.getvalue())
    url = "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
    examples = [{"user": "What colour?", "images": ["red.png", url], "answer": "red"}]
    async with rehearsal(tmp_path, sections={"images": {"root": str(tmp_path)}}) as run:
        run.write(rows(3))
        job = {"prompt": {"examples": examples}}
        summary = await run.run(**job)
        assert (summary.rows.ok, summary.rows.failed) == (3, 0), run.column("error_message")
        assert min(run.column("prompt_tokens")) > 2 * 256, "two pictures are counted"
        await run.must_hold(**job)
        (tmp_path / "red.png").write_bytes(picture.getvalue() + b"\0")
        assert (await run.run(**job)).requests == 3, "another picture is another question"
