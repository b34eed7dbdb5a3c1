"""Outputs made before settings were recorded in parts: kept as they are, without one request."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from parquill.errors import ReplaceNeededError
from parquill.job import load_job
from parquill.planning import RunOptions
from parquill.prompts import Asking
from parquill.results import read_manifest
from parquill.running import run_job
from parquill.storage import Storage
from tests.e2e.kit import Rehearsal, rehearsal

EARLIER = Path(__file__).parents[1] / "data" / "earlier"


@asynccontextmanager
async def earlier(name: str, folder: Path) -> AsyncIterator[tuple[Rehearsal, dict[str, Any]]]:
    """A copy of such an output, and its job."""
    where = folder / name
    shutil.copytree(EARLIER / name, where)
    source = json.loads((where / "job.json").read_text())
    async with rehearsal(where) as run:
        source["manifest"]["path"], source["output"]["path"] = str(run.manifest), str(run.output)
        source["model"]["endpoint"] = run.emulator.base_url
        run.sections = {section: values for section, values in source.items() if section != "prompt"}
        yield run, source


@pytest.mark.parametrize("known", orjson.loads((EARLIER / "fingerprints.json").read_bytes()))
def test_fingerprints_are_those_of_earlier_versions(known: dict[str, Any]) -> None:
    asking = Asking(load_job(known["job"], environ={}), shape_digest=b"shape")
    assert asking.fingerprint("A cat.", (b"0123456789abcdef",)).hex() == known["fingerprint"]


async def test_an_output_of_an_earlier_version_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with earlier("texts", tmp_path) as (run, source):
        names = run.table().column_names  # later versions add columns
        before = {row["id"]: row for row in run.table().to_pylist()}
        summary = await run_job(load_job(source))
        rows = summary.rows
        assert (summary.requests, rows.kept, rows.failed_before, rows.failed) == (1, 10, 1, 1), (
            "one row was not asked then"
        )
        after = {row["id"]: row for row in run.table().select(names).to_pylist()}
        changed = {name for name, row in after.items() if row != before[name]}
        assert changed == {"r11"}
        assert (await run_job(load_job(source))).requests == 0
        assert (await run.books()).balanced


async def test_an_earlier_outputs_archive_still_brings_answers_back(tmp_path: Path) -> None:
    async with earlier("texts", tmp_path) as (_, source):
        source["prompt"]["system"] = "Be long."
        summary = await run_job(load_job(source), RunOptions(limit=10, replace=True))
        assert (summary.requests, summary.rows.ok) == (0, 10)


async def test_an_earlier_output_with_pictures_of_another_size_is_kept(tmp_path: Path) -> None:
    """Its fingerprints did not hold `images.max_side`: they are written anew, and nothing is asked."""
    async with earlier("pictures", tmp_path) as (run, source):
        before = run.table().drop_columns(["fingerprint"])
        for _ in range(2):
            summary = await run_job(load_job(source))
            assert (summary.requests, summary.rows.kept) == (0, 3)
        assert run.table().select(before.column_names).equals(before)
        storage = Storage.at(run.output.with_name("out.parquill"))
        parts, _ = read_manifest(storage, "manifest.json")
        assert all("deciding" in part.meta for part in parts.values())
        await run.must_hold()


async def test_a_changed_size_of_pictures_asks_an_earlier_outputs_pictures_again(tmp_path: Path) -> None:
    async with earlier("pictures", tmp_path) as (run, source):
        source["images"] = {"max_side": 320}
        with pytest.raises(ReplaceNeededError, match=r"2 answers no longer match.*images\.max_side"):
            await run_job(load_job(source))
        summary = await run_job(load_job(source), RunOptions(replace=True))
        assert (summary.requests, summary.rows.kept) == (2, 1), "the row without a picture keeps its answer"
        assert (await run.books()).balanced
