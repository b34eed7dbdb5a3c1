"""images.send: auto passes addresses on until the endpoint says that it takes none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parquill.planning import RunOptions
from parquill.planning.run_options import Portion
from parquill.planning.selection import EVERY
from tests.e2e.kit import Rehearsal, rehearsal, rows
from tests.hostile_files import JPEG
from tests.web import Web, reply, web_server


def table(web: Web, count: int) -> pa.Table:
    return pa.table({**rows(count), "picture": [web.url(f"/{row}") for row in range(count)]})


def sections(web: Web, send: str) -> dict[str, Any]:
    return {
        "manifest": {"image_columns": ["picture"]},
        "images": {"send": send, "allow_private": ["127.0.0.2/32"], "allow_ports": [web.port]},
        "model": {"endpoint": "emulator"},
    }


def asked_of(one: Rehearsal) -> RunOptions:
    """Have the emulator of the rehearsal asked by a job that names the embedded one, which is known to fetch."""
    return RunOptions(portion=Portion({"manifest.000000.parquet": EVERY}, True, one.emulator.base_url))


@pytest.mark.parametrize("fetches", [True, False])
async def test_auto_inlines_from_the_first_refusal_on(tmp_path: Path, fetches: bool) -> None:
    async with web_server() as web:
        web.answers |= {f"/{row}": reply(200, JPEG) for row in range(120)}
        async with rehearsal(tmp_path, sections=sections(web, "auto"), fetches_urls=fetches) as auto:
            auto.write(table(web, 120))
            summary = await auto.run(asked_of(auto), limits={"max_in_flight": 4})
            assert summary.rows.ok == 120
            opened = [images is not None for images in auto.column("images")]
            if fetches:
                assert (auto.asked, sum(opened), web.requests) == (120, 0, [])
            else:
                assert 121 <= auto.asked <= 180, "those that were on their way already are refused too"
                assert all(opened)
                assert {row["width"] for (row,) in auto.column("images")} == {640}
                assert summary.cost_pico == auto.bill().billed_pico


async def test_a_job_that_says_url_keeps_to_it(tmp_path: Path) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web, "url"), fetches_urls=False) as strict:
        strict.write(table(web, 3))
        summary = await strict.run(asked_of(strict))
        assert summary.rows.failed == 3
        assert set(strict.column("error_kind")) == {"image_invalid"}
        assert web.requests == []


async def test_a_picture_that_cannot_be_had_fails_when_it_is_inlined(tmp_path: Path) -> None:
    async with web_server() as web, rehearsal(tmp_path, sections=sections(web, "auto"), fetches_urls=False) as auto:
        web.answers["/0"] = reply(200, JPEG)
        auto.write(table(web, 2))
        await auto.run(asked_of(auto))
        assert auto.column("error_kind") == [None, "image_unreachable"]
