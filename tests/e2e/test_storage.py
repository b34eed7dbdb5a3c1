"""Whole jobs on manifests of every form, and on an S3-speaking server that fails now and then."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest

from parquill.emulator.pictures import serve_picture
from parquill.planning import RunOptions
from tests.e2e.kit import Rehearsal, rehearsal, rows
from tests.e2e.remote import Bucket, a_whole_job_holds, served

SECRET = "hush/hush+4711"
"""Of a real key's alphabet."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    from moto.server import DomainDispatcherApplication, create_backend_app

    with served(DomainDispatcherApplication(create_backend_app)) as (host, flaky):
        files = pyarrow.fs.S3FileSystem(
            access_key="key", secret_key=SECRET, endpoint_override=host, scheme="http", region="us-east-1",
            allow_bucket_creation=True,
        )  # fmt: skip
        files.create_dir("bucket")
        options = f"?scheme=http&endpoint_override={host}&region=us-east-1"
        yield Bucket(lambda path: f"s3://key:{SECRET}@bucket/{path}{options}", files, SECRET, flaky)


async def test_manifest_and_output_in_a_bucket_that_fails_now_and_then(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_whole_job_holds(tmp_path, bucket, monkeypatch)


async def _finishes(work: Rehearsal, expected: dict[str, list[Any]], **sections: Any) -> None:
    """Run in two steps; every row must stand once and in its place, with its own columns."""
    count = len(expected["id"])
    await work.run(RunOptions(limit=count // 2), **sections)
    summary = await work.run(**sections)
    assert (summary.exit_status, summary.rows.ok, work.asked) == (0, count, count)
    table = work.table()
    for name, values in expected.items():
        assert table.column(name).to_pylist() == values
    await work.must_hold(**sections)


async def test_folders_named_by_key_and_value_are_columns(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as work:
        for place, code in enumerate(("de", "fr")):
            work.write(rows(6, first=6 * place), name=f"m/language={code}/part.parquet")
        expected = {**rows(12), "language": ["de"] * 6 + ["fr"] * 6}
        manifest = {"path": str(tmp_path / "m"), "id_column": "id"}
        await _finishes(
            work, expected, manifest=manifest, prompt={"user_column": None, "user": "{{ language }} {{ text }}"}
        )


async def test_pictures_as_hugging_face_stores_them(tmp_path: Path) -> None:
    """A struct of bytes and path, as `datasets` writes its Image feature."""
    async with rehearsal(tmp_path) as work:
        pictures = [{"bytes": serve_picture(f"{n}.jpg").body, "path": f"{n}.jpg"} for n in range(6)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({**rows(6), "image": pa.array([*pictures[:5], None], kind)})
        work.write(table)
        manifest = {"path": str(work.manifest), "id_column": "id", "image_columns": ["image"], "keep_columns": ["text"]}
        await _finishes(work, rows(6), manifest=manifest)
        tokens = work.column("prompt_tokens")
        assert min(tokens[:5]) > tokens[5] + 255


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_manifests_as_text(tmp_path: Path, form: str) -> None:
    async with rehearsal(tmp_path) as work:
        columns = rows(8)
        lines = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        path = tmp_path / f"manifest.{form}"
        with path.open("w", encoding="utf-8", newline="") as file:
            if form == "jsonl":
                file.writelines(json.dumps(line, ensure_ascii=False) + os.linesep for line in lines)
            else:
                writer = csv.DictWriter(file, list(columns))
                writer.writeheader()
                writer.writerows(lines)
        await _finishes(work, columns, manifest={"path": str(path), "id_column": "id"})
