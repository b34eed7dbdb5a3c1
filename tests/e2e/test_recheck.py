"""Rows that were refused without a request are judged anew by each run, for that costs nothing."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from parquill.clock import SystemClock
from parquill.estimation import estimate_job
from parquill.planning import RunOptions, preview_run
from tests.e2e.kit import Rehearsal, rehearsal
from tests.web import Web, reply, web_server

MANIFEST = {"image_columns": ["picture"]}
EMULATOR = {"endpoint": "emulator"}


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "PNG")
    return file.getvalue()


def sections(web: Web, **images: Any) -> dict[str, Any]:
    own = {"send": "inline", "allow_private": ["127.0.0.2/32"], "allow_ports": [web.port], **images}
    return {"manifest": MANIFEST, "model": EMULATOR, "images": own}


async def to_ask(run: Rehearsal, **changed: Any) -> tuple[int, int]:
    """What a flow's plan and the estimate say there is to ask: rows of slices that are open, rows to send."""
    job = run.job(**changed)
    preview = await asyncio.to_thread(preview_run, job, SystemClock())
    return preview.open_rows, (await estimate_job(job)).rows.todo


async def refused(run: Rehearsal, kind: str, count: int = 1) -> None:
    """Run twice: rows are refused, and where nothing changes nothing is sent and no part is written again."""
    assert (await run.run()).errors_by_kind == {kind: count}
    before = {name: info.part_id for name, info in run.parts().items()}
    assert await to_ask(run) == (0, 0)
    again = await run.run()
    assert (again.requests, again.errors_by_kind, again.rows.failed_before) == (0, {kind: count}, count)
    assert before == {name: info.part_id for name, info in run.parts().items()}


@pytest.fixture
def web_rows() -> Any:
    def make(web: Web) -> dict[str, list[Any]]:
        return {"id": [1, 2, 3], "text": ["a", "b", "c"], "picture": [web.url("/a.png"), None, web.url("/a.png")]}

    return make


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"allow_ports": [80]}, {}),
        ({"allow_hosts": ["other.example"]}, {}),
        ({"deny_hosts": ["127.0.0.2"]}, {"deny_hosts": []}),
        ({"allow_private": False}, {}),
    ],
)
async def test_a_changed_setting_that_allows_a_picture_helps_without_retry(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], web_rows: Any
) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web, **before)) as run:
        web.answers["/a.png"] = reply(200, picture())
        run.write(web_rows(web))
        await refused(run, "image_refused", 2)
        run.sections = sections(web, **after)
        asked = (await to_ask(run))[1]
        summary = await run.run()
        assert summary.rows.ok == 3
        assert summary.requests == 2 == asked
        await run.must_hold()


async def test_a_raised_number_of_pictures_helps_rows_that_had_too_many(tmp_path: Path) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web, max_per_row=1)) as run:
        web.answers["/a.png"] = reply(200, picture())
        run.write({"id": [1, 2], "text": ["a", "b"], "picture": [[web.url("/a.png")] * 2, [web.url("/a.png")]]})
        await refused(run, "bad_row")
        run.sections = sections(web, max_per_row=2)
        assert await to_ask(run) == (2, 1), "a setting that decides no answer: the plan alone cannot know of it"
        summary = await run.run()
        assert (summary.requests, summary.rows.ok, summary.rows.kept) == (1, 2, 1)
        await run.must_hold()


async def test_a_picture_that_its_host_has_repaired_is_asked_about_without_retry(tmp_path: Path, web_rows: Any) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web)) as run:
        web.answers["/a.png"] = reply(200, b"<html>soon</html>")
        run.write(web_rows(web))
        await refused(run, "image_invalid", 2)
        web.answers["/a.png"] = reply(200, picture())
        assert await to_ask(run) == (3, 2)
        assert (await run.run()).rows.ok == 3
        await run.must_hold()


async def test_a_row_refused_for_another_reason_now_says_the_new_one(tmp_path: Path, web_rows: Any) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web, allow_ports=[80])) as run:
        web.answers["/a.png"] = reply(200, b"<html>soon</html>")
        run.write(web_rows(web))
        await refused(run, "image_refused", 2)
        run.sections = sections(web)
        assert (await to_ask(run))[1] == 0
        await refused(run, "image_invalid", 2)


async def test_refused_rows_beyond_a_limit_stay_as_they_are(tmp_path: Path, web_rows: Any) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web, max_per_row=1)) as run:
        web.answers["/a.png"] = reply(200, picture())
        run.write({"id": [1, 2], "text": ["a", "b"], "picture": [[web.url("/a.png")] * 2] * 2})
        await refused(run, "bad_row", 2)
        run.sections = sections(web, max_per_row=2)
        summary = await run.run(RunOptions(limit=1))
        assert (summary.requests, run.column("status")) == (1, ["ok", "failed"])
