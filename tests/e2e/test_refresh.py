"""images.refresh: rows whose picture changed are asked again, all others keep their answer and cost nothing."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parquill.errors import JobError
from parquill.estimation import estimate_job
from parquill.planning import RunOptions
from tests.e2e.dying import die_at_step
from tests.e2e.kit import rehearsal, words
from tests.hostile_files import noise, saved
from tests.web import Web, reply, web_server

YESTERDAY, TODAY = "Thu, 26 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 10:00:00 GMT"


@functools.cache
def picture(width: int) -> bytes:
    """The same bytes each time."""
    return saved(noise(width, 60), "JPEG")


class Host:
    """Pictures that know their state: by ETag, by date, or not at all; counts what was sent in full."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.sent: list[str] = []

    def has(self, path: str, data: bytes, *, heeds: bool = True, knows_head: bool = True, **headers: str) -> None:
        """Serve `data`; `heeds`: answers 304 where the present state is named."""

        async def answer(writer: asyncio.StreamWriter) -> None:
            request = self.web.requests[-1]
            known = request.headers.get("if-none-match") or request.headers.get("if-modified-since")
            if request.method == "HEAD" and not knows_head:
                writer.write(reply(405))
            elif heeds and known and known in headers.values():
                writer.write(reply(304, **headers))
            elif request.method == "HEAD":
                writer.write(reply(200, data, **headers).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            else:
                self.sent.append(path)
                writer.write(reply(200, data, **headers))

        self.web.answers[path] = answer


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with web_server() as web:
        yield Host(web)


def sections(web: Web, **images: Any) -> dict[str, Any]:
    return {
        "manifest": {"image_columns": ["picture"]},
        "images": {"send": "inline", "allow_private": ["127.0.0.2/32"], "allow_ports": [web.port], **images},
        "output": {"rows_per_part": 2},
    }


REFRESH = {"images": {"refresh": True}}


def table(urls: list[str | None], first: int = 0) -> pa.Table:
    numbers = range(first, first + len(urls))
    return pa.table(
        {
            "id": [f"r{number}" for number in numbers],
            "text": [words(number) for number in numbers],
            "picture": pa.array(urls, pa.string()),
        }
    )


async def test_only_the_row_whose_picture_changed_is_asked_again(host: Host, tmp_path: Path) -> None:
    web = host.web
    host.has("/tagged", picture(100), ETag='"v1"', Last_Modified=YESTERDAY)
    host.has("/dated", picture(101), Last_Modified=YESTERDAY)
    host.has("/same", picture(102), ETag='W/"s"')
    host.has("/nameless", picture(103))
    host.has("/headless", picture(104), ETag='"h1"', knows_head=False)
    async with rehearsal(tmp_path, sections=sections(web)) as asked:
        (tmp_path / "local.jpg").write_bytes(picture(105))
        urls = [*map(web.url, ("/tagged", "/dated", "/same", "/nameless", "/headless")), "local.jpg", None]
        asked.write(table(urls))
        await asked.run()
        before = asked.table().to_pylist()

        host.sent.clear()
        summary = await asked.run(**REFRESH)
        assert (summary.rows.kept, summary.requests, asked.asked) == (7, 0, 7)
        assert host.sent == ["/nameless"], "whose state has no name is looked at in full"
        assert asked.table().to_pylist() == before
        assert not summary.notices

        host.has("/tagged", picture(200), ETag='"v2"', Last_Modified=TODAY)
        host.has("/nameless", picture(203))
        summary = await asked.run(**REFRESH)
        assert (summary.rows.kept, summary.rows.ok, summary.requests, asked.asked) == (5, 7, 2, 9)
        assert any("2 answered rows had pictures that changed" in notice for notice in summary.notices)
        after = asked.table().to_pylist()
        assert [row["images"] and row["images"][0]["width"] for row in after] == [200, 101, 102, 203, 104, 105, None]
        assert after[0]["images"][0]["version"] == '"v2"'
        changed = {row for row, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}
        assert changed == {0, 3}
        assert [row["fingerprint"] for row in after] == [row["fingerprint"] for row in before]
        await asked.must_hold()
        assert (await asked.books()).balanced

        host.has("/dated", picture(201), Last_Modified=TODAY)
        host.has("/headless", picture(204), ETag='"h2"', knows_head=False)
        await asked.run(**REFRESH)
        assert [row["images"] and row["images"][0]["width"] for row in asked.table().to_pylist()][:5] == [
            200, 201, 102, 203, 204
        ]  # fmt: skip
        await asked.must_hold()


async def test_without_refresh_no_host_is_asked(host: Host, tmp_path: Path) -> None:
    host.has("/a", picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url("/a")]))
        await asked.run()
        host.has("/a", picture(200), ETag='"v2"')
        requests = len(host.web.requests)
        await asked.run()
        assert len(host.web.requests) == requests
        assert asked.asked == 1


async def test_a_new_name_for_the_same_bytes_costs_no_token(host: Host, tmp_path: Path) -> None:
    """Servers behind one address often name the same file differently."""
    host.has("/a", picture(100), ETag='"server-1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url("/a")]))
        await asked.run()
        host.has("/a", picture(100), ETag='"server-2"', heeds=False)
        summary = await asked.run(**REFRESH)
        assert (summary.rows.kept, asked.asked) == (1, 1)


async def test_a_host_that_cannot_say_keeps_its_answers(host: Host, tmp_path: Path) -> None:
    paths = ["/gone", "/page", "/fine"]
    for path in paths:
        host.has(path, picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url(path) for path in paths]))
        await asked.run()
        host.web.answers["/gone"] = reply(404)
        host.has("/page", b"<html>moved</html>", ETag='"v2"')
        summary = await asked.run(**REFRESH)
        assert (summary.rows.kept, summary.rows.ok, asked.asked) == (3, 3, 3)
        assert any("of 2 answered rows it is not known" in notice for notice in summary.notices)


async def test_equal_rows_are_asked_for_once_and_asked_again_once(host: Host, tmp_path: Path) -> None:
    host.has("/a", picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        same = {"id": list("wxyz"), "text": ["Describe it"] * 4, "picture": [host.web.url("/a")] * 4}
        asked.write(same)
        await asked.run()
        host.has("/a", picture(200), ETag='"v2"')
        seen = len(host.web.requests)
        summary = await asked.run(**REFRESH)
        assert (summary.rows.kept, summary.rows.reused, asked.asked) == (0, 3, 2)
        assert {row["images"][0]["width"] for row in asked.table().to_pylist()} == {200}
        heads = [request.method for request in host.web.requests[seen:]].count("HEAD")
        assert heads == 2, "one for each part"
        await asked.must_hold()
        assert (await asked.books()).balanced


async def test_a_superseded_answer_is_not_adopted_back_when_the_run_dies_before_it_asks(
    host: Host, tmp_path: Path
) -> None:
    """The old answer is in the archive by then; without refresh its fingerprint would find it."""
    host.has("/a", picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url("/a"), None, None]))
        await asked.run()
        old = asked.table().to_pylist()
        host.has("/a", picture(200), ETag='"v2"')
        stopped = await asked.run(RunOptions(deadline=1.0), **REFRESH)
        assert (stopped.rows.ok, stopped.rows.not_attempted, asked.asked) == (2, 1, 3)
        assert (await asked.books()).balanced
        summary = await asked.run()
        assert (summary.requests, asked.asked) == (1, 4)
        assert asked.table().to_pylist()[0]["images"][0]["width"] == 200
        assert asked.table().to_pylist()[1:] == old[1:]
        await asked.must_hold()
        assert (await asked.books()).balanced


@pytest.mark.chaos
@pytest.mark.parametrize("after", [False, True])
async def test_a_refresh_that_dies_at_every_step_ends_as_one_that_does_not(
    host: Host, tmp_path: Path, after: bool
) -> None:
    for path in ("/a", "/b", "/c"):
        host.has(path, picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url("/a"), None, host.web.url("/b"), host.web.url("/c"), None]))
        await asked.run()
        host.has("/a", picture(200), ETag='"v2"')
        host.has("/c", picture(201), ETag='"v2"')
        job, deaths = asked.job_file(**REFRESH), 0
        while await die_at_step(job, deaths, after=after):
            deaths += 1
        assert deaths > 5
        widths = [row["images"] and row["images"][0]["width"] for row in asked.table().to_pylist()]
        assert widths == [200, None, 100, 201, None]
        assert asked.asked <= 7 + await asked.doubts()
        await asked.must_hold()
        assert (await asked.books()).balanced


async def test_an_answer_of_the_archive_is_not_taken_over_for_a_picture_that_changed(
    host: Host, tmp_path: Path
) -> None:
    for path in ("/a", "/b"):
        host.has(path, picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        urls = [host.web.url("/a"), host.web.url("/b"), None, None]
        asked.write(table(urls))
        await asked.run()
        asked.write(table([None, None], first=2))
        await asked.run(RunOptions(allow_shrink=True))
        host.has("/a", picture(200), ETag='"v2"')
        asked.write(table(urls))
        summary = await asked.run(**REFRESH)
        assert (summary.requests, asked.asked, summary.rows.ok) == (1, 5, 4)
        widths = [row["images"] and row["images"][0]["width"] for row in asked.table().to_pylist()]
        assert widths == [200, 100, None, None]
        await asked.must_hold()
        assert (await asked.books()).balanced


async def test_rows_beyond_the_limit_keep_their_answers(host: Host, tmp_path: Path) -> None:
    for path in ("/a", "/b", "/c"):
        host.has(path, picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url(path) for path in ("/a", "/b", "/c")]))
        await asked.run()
        for path in ("/a", "/b", "/c"):
            host.has(path, picture(200), ETag='"v2"')
        summary = await asked.run(RunOptions(limit=1), **REFRESH)
        assert (summary.rows.ok, summary.rows.not_attempted, asked.asked) == (3, 0, 4)
        assert [row["images"][0]["width"] for row in asked.table().to_pylist()] == [200, 100, 100]


async def test_pictures_that_are_passed_on_are_asked_for_their_state_first(host: Host, tmp_path: Path) -> None:
    host.has("/a", picture(100), ETag='"v1"')
    host.has("/nameless", picture(100))
    async with rehearsal(tmp_path, sections=sections(host.web, send="url", refresh=True)) as asked:
        asked.write(table([host.web.url("/a"), host.web.url("/nameless")]))
        await asked.run()
        states = [row["images"] for row in asked.table().to_pylist()]
        assert states[0][0]["version"] == '"v1"'
        assert (states[0][0]["bytes_fetched"], states[1]) == (None, None)
        summary = await asked.run()
        assert (summary.rows.kept, asked.asked) == (2, 2)
        host.has("/a", picture(200), ETag='"v2"')
        summary = await asked.run()
        assert (summary.rows.kept, asked.asked) == (1, 3)
        assert host.sent == [], "no picture was fetched here"


@pytest.mark.chaos
async def test_a_shared_run_asks_the_changed_rows_in_all_its_processes(host: Host, tmp_path: Path) -> None:
    paths = [f"/{row}" for row in range(6)]
    for path in paths:
        host.has(path, picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url(path) for path in paths]))
        await asked.run()
        for path in paths[1:]:
            host.has(path, picture(200), ETag='"v2"')
        shared = await asked.command("run", "--json", "--set", "run.workers=2", **REFRESH)
        assert (shared.json["rows"]["kept"], shared.json["requests"], asked.asked) == (1, 5, 11), shared.err
        assert [row["images"][0]["width"] for row in asked.table().to_pylist()] == [100, *[200] * 5]
        await asked.must_hold()
        assert (await asked.books()).balanced


async def test_the_cache_gives_the_new_picture(host: Host, tmp_path: Path) -> None:
    host.has("/a", picture(100), ETag='"v1"')
    settings = sections(host.web, cache=str(tmp_path / "cache"))
    async with rehearsal(tmp_path, sections=settings) as asked:
        asked.write(table([host.web.url("/a")]))
        await asked.run()
        host.has("/a", picture(200), ETag='"v2"')
        await asked.run(**REFRESH)
        assert asked.table().to_pylist()[0]["images"][0]["width"] == 200
        assert host.sent == ["/a", "/a"], "what was fetched to compare is what is sent"
        summary = await asked.run(**REFRESH)
        assert (summary.rows.kept, asked.asked) == (1, 2)


async def test_the_estimate_counts_what_a_refresh_would_ask(host: Host, tmp_path: Path) -> None:
    host.has("/a", picture(100), ETag='"v1"')
    async with rehearsal(tmp_path, sections=sections(host.web)) as asked:
        asked.write(table([host.web.url("/a"), None]))
        await asked.run()
        host.has("/a", picture(200), ETag='"v2"')
        estimate = await estimate_job(asked.job(**REFRESH))
        assert (estimate.rows.todo, estimate.rows.kept) == (1, 1)
        assert any("1 answered row had pictures that changed" in notice for notice in estimate.notices)
        summary = await asked.run(**REFRESH)
        assert summary.requests == 1


def test_other_outputs_answers_cannot_be_refreshed(tmp_path: Path) -> None:
    from parquill.job import load_job

    job = {"name": "a", "manifest": {"path": "m"}, "prompt": {"user": "x"}, "output": {"path": "o"}}
    with pytest.raises(JobError, match=r"images\.refresh and output\.reuse_from exclude each other"):
        load_job(job, ["images.refresh=true", "output.reuse_from=[p]"])
