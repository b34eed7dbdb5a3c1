"""Rows without a picture, where the manifest has a column for one: counted and said, or failed unpaid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.errors import JobError
from parquill.estimation import estimate_job
from parquill.job import Job
from parquill.running import run_job
from parquill.verification import verify_job
from tests.e2e.odd import Odd, completion, odd_endpoint, odd_job, output


def picture_job(odd: Odd, folder: Path, cells: list[Any], **sections: Any) -> Job:
    manifest = {"image_columns": ["img"], **sections.pop("manifest", {})}
    job = odd_job(odd, folder, [f"Describe item {at}" for at in range(len(cells))], manifest=manifest, **sections)
    table = pq.read_table(folder / "m.parquet").append_column("img", pa.array(cells))
    pq.write_table(table, folder / "m.parquet")
    return job


CELLS = ["https://x.example/a.jpg", None, "", "https://x.example/b.jpg"]


async def test_rows_without_a_picture_are_counted_by_estimate_and_run(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion()) as odd:
        job = picture_job(odd, tmp_path, CELLS)
        for workers in (1, 2):
            job = picture_job(
                odd, tmp_path, CELLS, run={"workers": workers}, output={"path": str(tmp_path / f"o{workers}")}
            )
            told = (await estimate_job(job)).notices
            assert [notice for notice in told if "2 rows without a picture (nothing in img) would be asked" in notice]
            told = (await run_job(job)).notices
            assert [notice for notice in told if "2 rows without a picture (nothing in img) were asked" in notice]
            told = (await run_job(job)).notices
            assert not [notice for notice in told if "without a picture" in notice]


async def test_nothing_is_said_where_every_row_has_one_or_no_column_is_named(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion()) as odd:
        for cells, sections in (
            (["https://x.example/a.jpg"] * 2, {}),
            ([None, None], {"manifest": {"image_columns": []}}),
        ):
            job = picture_job(odd, tmp_path, cells, output={"path": str(tmp_path / f"o{len(sections)}")}, **sections)
            assert not [one for one in (await estimate_job(job)).notices if "picture" in one]
            assert not [one for one in (await run_job(job)).notices if "picture" in one]


async def test_required_pictures_make_such_a_row_bad_and_it_is_not_paid(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion()) as odd:
        job = picture_job(odd, tmp_path, CELLS, images={"required": True})
        estimate = await estimate_job(job)
        assert (estimate.rows.todo, estimate.failing_by_kind) == (2, {"bad_row": 2})
        await run_job(job)
        assert len(odd.bodies) == 2
        rows = output(tmp_path)
        assert [row["error_kind"] for row in rows] == [None, "bad_row", "bad_row", None]
        assert {row["attempts"] for row in rows if row["error_kind"]} == {0}
        assert "images.required" in rows[1]["error_message"]
        assert verify_job(job).holds


async def test_required_pictures_need_a_column(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion()) as odd:
        with pytest.raises(JobError, match=r"images\.required needs manifest\.image_columns"):
            odd_job(odd, tmp_path, ["a"], images={"required": True})
