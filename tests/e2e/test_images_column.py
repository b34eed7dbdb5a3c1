"""The figures of each row's pictures stand in the output, whatever way the row took there."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquill.clock import SystemClock
from parquill.errors import ManifestError
from parquill.planning.planner import Planner
from parquill.planning.preparation import prepare
from parquill.report.write import write_report
from parquill.results.parts import FOOTER_KEY
from parquill.storage import Storage
from tests.e2e.kit import Rehearsal, rehearsal, rows
from tests.hostile_files import JPEG, noise, saved
from tests.pdfs import pdf
from tests.web import Web, reply, web_server

NONE = dict.fromkeys(("bytes_fetched", "bytes_sent", "width", "height", "digest", "version"))


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with web_server() as web:
        yield web


def sections(web: Web, **images: Any) -> dict[str, Any]:
    """A job whose pictures may come from the server on loopback."""
    return {
        "manifest": {"image_columns": ["pictures"], "keep_columns": []},
        "images": {"allow_private": True, "allow_ports": [web.port], **images},
    }


def pictures(cells: list[list[Any] | None], **columns: list[Any]) -> pa.Table:
    return pa.table({**rows(len(cells)), "pictures": pa.array(cells, pa.list_(pa.string())), **columns})


def figures(data: bytes, width: int, height: int, version: str | None = None) -> dict[str, Any]:
    """What is known of a file before it is shrunk."""
    digest = hashlib.sha256(data).hexdigest()[:32]
    return {"bytes_fetched": len(data), "width": width, "height": height, "digest": digest, "version": version}


def unsent(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell without the size of what was sent, which must be that of a shrunk picture."""
    cell = dict(cell)
    assert 200 < cell.pop("bytes_sent") < 300_000
    return cell


async def test_each_picture_that_was_opened_is_weighed_in_its_place(web: Web, tmp_path: Path) -> None:
    large = saved(noise(2000, 1000), "JPEG")
    web.answers["/large"] = reply(200, large, ETag='"e1"', Last_Modified="Fri, 27 Nov 2026 10:00:00 GMT")
    web.answers["/dated"] = reply(200, JPEG, Last_Modified="Fri, 27 Nov 2026 10:00:00 GMT")
    async with rehearsal(tmp_path, sections=sections(web, send="inline")) as inlined:
        (tmp_path / "a.jpg").write_bytes(JPEG)
        document = pdf(["one", "two"])
        documents = pa.array([None, None, None, None, document, None], pa.binary())
        cells = [[web.url("/large"), "a.jpg"], [web.url("/dated")], None, ["a.jpg", web.url("/dead")], None, []]
        inlined.write(pictures(cells, document=documents))
        await inlined.run(manifest={"document_columns": ["document"]})
        first, second, text, dead, pages, none = inlined.column("images")
        assert [unsent(cell) for cell in first] == [
            figures(large, 2000, 1000, '"e1"'), figures(JPEG, 640, 480)
        ]  # fmt: skip
        assert [unsent(cell) for cell in second] == [figures(JPEG, 640, 480, "Fri, 27 Nov 2026 10:00:00 GMT")]
        assert (text, dead, none) == (None, None, None)
        assert [(cell["bytes_fetched"], cell["height"]) for cell in pages] == [(len(document), 896)] * 2
        assert inlined.column("status") == ["ok", "ok", "ok", "failed", "ok", "ok"]
        assert inlined.asked == 5
        await inlined.must_hold(manifest={"document_columns": ["document"]})


async def test_a_url_that_is_passed_on_has_no_figures(web: Web, tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections=sections(web)) as passing:
        (tmp_path / "a.jpg").write_bytes(JPEG)
        passing.write(pictures([["https://a.example/x.jpg"], ["https://a.example/x.jpg", "a.jpg"]]))
        await passing.run()
        alone, mixed = passing.column("images")
        assert alone is None
        assert mixed[0] is None
        assert unsent(mixed[1]) == figures(JPEG, 640, 480)


async def test_an_equal_row_has_the_figures_of_its_own_picture(tmp_path: Path) -> None:
    """The same content under another name is another file; the same name is the same one."""
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["pictures"]}}) as equal:
        (tmp_path / "a.jpg").write_bytes(JPEG)
        (tmp_path / "b.jpg").write_bytes(JPEG + b"trailing bytes of a camera")
        equal.write(pa.table({"id": list("xyz"), "text": ["Describe"] * 3, "pictures": ["a.jpg", "b.jpg", "a.jpg"]}))
        summary = await equal.run()
        assert (summary.rows.reused, equal.asked) == (2, 1)
        fetched = [cell["bytes_fetched"] for (cell,) in equal.column("images")]
        assert fetched == [len(JPEG), len(JPEG) + 26, len(JPEG)]
        assert len({cell["digest"] for (cell,) in equal.column("images")}) == 2


async def test_figures_live_through_merges_and_the_archive(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["pictures"]}}) as living:
        for number in range(12):
            (tmp_path / f"{number}.jpg").write_bytes(saved(noise(100 + number, 80), "JPEG"))
        table = pa.table({**rows(12), "pictures": [f"{number}.jpg" for number in range(12)]})
        living.write(table.slice(0, 8))
        parts = {"output": {"rows_per_part": 4}}
        await living.run(**parts)
        before = dict(zip(living.column("id"), living.column("images"), strict=True))
        living.write(table.take(pa.array([11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1])))  # rows change their parts: archive
        await living.run(**parts)
        assert living.asked == 12
        after = dict(zip(living.column("id"), living.column("images"), strict=True))
        assert {key: after[key] for key in before} == before
        assert [after[f"r{number}"][0]["width"] for number in range(12)] == [100 + number for number in range(12)]
        await living.must_hold(**parts)


def as_of_the_last_version(calm: Rehearsal) -> None:
    """Put the parts back to what a version without the column wrote: schema, footer, digest."""
    opened, storage = prepare(calm.job(), SystemClock()), Storage.at(calm.output)
    then = dataclasses.replace(opened, schema=opened.schema.remove(opened.schema.get_field_index("images")))
    digests = Planner(then, storage).digests()
    for path in sorted(calm.output.iterdir()):
        footer = orjson.loads(pq.read_metadata(path).metadata[FOOTER_KEY])
        bare = pq.read_table(path).drop_columns(["images"]).replace_schema_metadata(None)
        with pq.ParquetWriter(path, bare.schema) as writer:
            writer.write_table(bare)
            footer["slice_digest"] = digests[path.name]
            writer.add_key_value_metadata({FOOTER_KEY: orjson.dumps(footer)})


async def test_an_output_of_the_last_version_is_brought_up_to_date_and_nothing_is_paid_again(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["pictures"]}}) as old:
        (tmp_path / "a.jpg").write_bytes(JPEG)
        old.write(pictures([["a.jpg"], None, ["a.jpg"], ["gone.jpg"]]))
        parts = {"output": {"rows_per_part": 2}}
        await old.run(**parts)
        table, asked = old.table(), old.asked
        old.sections |= parts
        as_of_the_last_version(old)
        found = {one.kind for one in (await old.verify()).findings}
        assert found == {"checksum"}, "what this test wrote by hand, and nothing about columns"
        assert (await write_report(old.job())).exists()
        summary = await old.run()
        assert (summary.rows.kept, summary.rows.ok, summary.rows.failed) == (3, 3, 1)
        assert old.asked == asked
        same = [name for name in table.column_names if name not in ("images", "finished_at")]
        assert old.table().select(same).equals(table.select(same))
        assert {str(pq.read_schema(path)) for path in old.output.iterdir()} == {str(table.schema)}
        await old.must_hold()


async def test_answers_of_an_output_of_the_last_version_are_taken_over(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as old:
        old.write(rows(4))
        await old.run()
        as_of_the_last_version(old)
        shutil.move(old.output, tmp_path / "earlier")
        shutil.rmtree(tmp_path / "out.parquill")
        summary = await old.run(output={"reuse_from": [str(tmp_path / "earlier")]})
        assert (summary.rows.reused, old.asked) == (4, 4)
        assert old.column("images") == [None] * 4


async def test_a_kept_column_of_that_name_is_refused_before_the_start(tmp_path: Path) -> None:
    async with rehearsal(tmp_path, sections={"manifest": {"image_columns": ["images"]}}) as clashing:
        (tmp_path / "a.jpg").write_bytes(JPEG)
        clashing.write({**rows(1), "images": ["a.jpg"]})
        with pytest.raises(ManifestError, match="'images' would clash with the output's own"):
            await clashing.run()
        assert clashing.asked == 0
        await clashing.run(manifest={"keep_columns": ["text"]})
        assert clashing.column("status") == ["ok"]
