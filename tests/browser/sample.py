"""The report on the sample manifest, with its pictures: for the browser's tests and for the picture in the README."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.clock import SystemClock
from parquill.images import ImageLoader
from parquill.job import DocumentSettings, ImageSettings
from parquill.report import Asked, build_report, thumbnail_settings
from parquill.results import ItemResult
from parquill.storage import Storage
from tests.outputs import CAPTIONS, START, failed, night, record, write_output

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
_NAMES = ("id", "image_url", "title", "language", "category")


def sample_report(folder: Path) -> bytes:
    """Write an output for the sample manifest into `folder` and return the report on it, after an earlier night."""
    manifest = pq.read_table(SAMPLES / "manifest.parquet").to_pylist()
    made_up, _ = night(len(manifest), seed=3, failing=0)
    results = [_told(result, row) for result, row in zip(made_up, manifest, strict=True)]
    kept = (pa.field("image_url", pa.list_(pa.string())), *(pa.field(name, pa.string()) for name in _NAMES[2:]))
    columns = {name: [row[name] for row in manifest] for name in _NAMES}
    output = write_output(folder / "out", results, columns, kept=kept)
    workspace = Storage.at(folder / "out.parquill")
    (folder / "out.parquill" / "runs").mkdir(parents=True)
    before = record(results[:40], run_id="a", started_at=START - dt.timedelta(days=1))
    for told in (before, record(results, run_id="b")):
        workspace.write_bytes(f"runs/{told.summary.run_id}.json", told.dump())
    return asyncio.run(_report(output, workspace, {row["id"]: row for row in manifest}))


def _told(result: ItemResult, row: Mapping[str, Any]) -> ItemResult:
    pictures = [Path(url).stem for url in row["image_url"] or []]
    if "broken" in pictures:
        message = "pictures/broken.jpg: the file is broken: image file is truncated"
        return failed("image_invalid", message, attempts=0, prompt_tokens=0, completion_tokens=0, cost_pico=0)
    caption, tags = CAPTIONS.get(pictures[0] if pictures else "", (f"{row['title']}.", [row["category"]]))
    answer = {**result.answer, "caption": caption, "tags": tags, "people": int("man" in tags or "astronaut" in tags)}
    return dataclasses.replace(result, answer=answer, answer_text=str(answer))


async def _report(output: Storage, workspace: Storage, rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    settings = thumbnail_settings(ImageSettings())
    clock = SystemClock()
    async with ImageLoader(
        settings, DocumentSettings(), manifest_folder=str(SAMPLES), endpoint_fetches=False, clock=clock
    ) as loader:
        asked = Asked(
            prompt_for=lambda row: f"{rows[row['id']]['question']}\nTitle: {row['title']}\nLanguage: {row['language']}",
            pictures_for=lambda row: loader.check(rows[row["id"]]["image_url"]),
            loader=loader,
        )
        return await build_report(output, workspace, job_name="product-captions", asked=asked)
