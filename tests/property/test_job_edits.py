"""Whatever is edited between runs, job or manifest, every answer is the one to what the job says now.

The endpoint is a server of the test's own: its answer is what it was asked. So the table itself tells
whether a row was asked with today's prompt, columns and settings, without any fingerprint of ours.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from parquill.clock import SystemClock
from parquill.errors import ReplaceNeededError
from parquill.job import load_job
from parquill.planning import RunOptions
from parquill.running import run_job
from parquill.verification import verify_job
from tests.e2e.dying import die_at_step, die_in_time
from tests.e2e.kit import KEY_NAME, Rehearsal, rehearsal

PROMPTS: tuple[dict[str, Any], ...] = (
    {"user": "Tell of {{ text }}."},
    {"user": "Tell of {{ text }}."},
    {"user": "What is {{ text | upper }}?"},
    {"user_column": "text"},
    {"user": "Fixed."},
    {"user": "Tell of {{ text }}.", "system": "Be brief."},
    {"user": "Tell of {{ text }}.", "images_first": True},
)
COLUMNS = (["front"], ["front", "back"], ["back", "front"], ["back"], [])
MODELS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0.5},
    {"max_tokens": 32},
    {"seed": 3},
    {"name": "other/model"},
)

JOB_EDITS = st.one_of(
    st.tuples(st.just("prompt"), st.integers(0, len(PROMPTS) - 1)),
    st.tuples(st.just("columns"), st.integers(0, len(COLUMNS) - 1)),
    st.tuples(st.just("model"), st.integers(0, len(MODELS) - 1)),
    st.tuples(st.just("slice"), st.integers(1, 5)),
)
ROW_EDITS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 20)),
    st.tuples(st.just("change"), st.integers(0, 20)),
    st.tuples(st.just("picture"), st.integers(0, 20)),
    st.tuples(st.just("remove"), st.integers(0, 20)),
    st.tuples(st.just("turn round"), st.just(0)),
)
RUNS = st.one_of(
    st.tuples(st.just("run"), st.just(0)),
    st.tuples(st.just("limit"), st.integers(0, 8)),
    st.tuples(st.just("without consent"), st.integers(0, 8)),
    st.tuples(st.just("die in time"), st.floats(0.02, 0.3)),
    st.tuples(st.just("die at step"), st.integers(2, 30)),
)
NIGHTS = st.lists(st.one_of(JOB_EDITS, JOB_EDITS, ROW_EDITS, RUNS, RUNS), min_size=4, max_size=9)


async def echo(request: web.BaseRequest) -> web.Response:
    """Answer with what was asked."""
    if request.method != "POST":
        return web.json_response({"error": "not here"}, status=404)
    body = orjson.loads(await request.read())
    said = json.dumps({name: body.get(name) for name in ("model", "messages", "max_tokens", "temperature", "seed")})
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    await SystemClock().sleep(0.004)
    return web.json_response({"id": "chat-1", "model": body["model"], "choices": [choice], "usage": usage})


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    server = web.ServerRunner(web.Server(echo))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    host, port = server.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1"
    finally:
        await server.cleanup()


class Edited:
    """A job and a manifest that are edited between runs."""

    def __init__(self, run: Rehearsal, endpoint: str) -> None:
        self.run = run
        self.endpoint = endpoint
        self.prompt: dict[str, Any] = PROMPTS[0]
        self.model: dict[str, Any] = {}
        self.columns = ["front"]
        self.rows_per_part = 3
        self.rows = [row(number) for number in range(6)]
        self.next = len(self.rows)

    def source(self) -> dict[str, Any]:
        given = {"endpoint": self.endpoint, "api_key_env": KEY_NAME, "max_tokens": 64, "price": PRICE, **self.model}
        return {
            "name": "rehearsal",
            "manifest": {"path": str(self.run.manifest), "id_column": "id", "image_columns": self.columns},
            "prompt": self.prompt,
            "output": {"path": str(self.run.output), "rows_per_part": self.rows_per_part},
            "model": given,
        }

    async def act(self, what: str, how: Any) -> None:
        if what in ("run", "limit"):
            await self.go(RunOptions(allow_shrink=True, replace=True, limit=how if what == "limit" else None))
        elif what == "without consent":
            await self.go_without_consent(RunOptions(allow_shrink=True, limit=how))
        elif what.startswith("die"):
            self.write()
            file = self.run.folder / "job.json"
            file.write_text(json.dumps(self.source()))
            await (die_in_time(file, how) if what == "die in time" else die_at_step(file, how, after=how % 2 == 0))
        else:
            self.edit(what, how)

    def edit(self, what: str, at: int) -> None:
        place = at % len(self.rows)
        match what:
            case "prompt":
                self.prompt = PROMPTS[at]
            case "columns":
                self.columns = COLUMNS[at]
            case "model":
                self.model = MODELS[at]
            case "slice":
                self.rows_per_part = at
            case "add":
                self.rows.insert(place, row(self.next))
                self.next += 1
            case "change":
                self.rows[place] = {**self.rows[place], "text": f"another thing, {at}"}
            case "picture":
                self.rows[place] = {**self.rows[place], "front": f"https://pictures.example/new/{at}.png"}
            case "remove" if len(self.rows) > 1:
                del self.rows[place]
            case _:
                self.rows.reverse()

    def write(self) -> None:
        self.run.write({name: [one[name] for one in self.rows] for name in self.rows[0]})

    async def go(self, options: RunOptions) -> None:
        self.write()
        await run_job(load_job(self.source()), options)

    async def go_without_consent(self, options: RunOptions) -> None:
        """Run; what is refused changes nothing, and counts answers that are to another question now."""
        before, table = self.parts(), pq.read_table(self.run.output).to_pylist()
        answers = {cells["id"]: cells["answer"] for cells in table if cells["status"] == "ok"}
        others = [
            one for one in self.rows if one["id"] in answers and json.loads(answers[one["id"]]) != self.asked(one)
        ]
        try:
            await self.go(options)
        except ReplaceNeededError as error:
            assert self.parts() == before
            assert 1 <= int(error.what.split()[0]) <= len(others)

    def parts(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.run.output.iterdir()}

    def asked(self, one: dict[str, Any]) -> dict[str, Any]:
        """What the job as it stands asks of a row, written down by hand."""
        text = one["text"]
        said = {
            "Tell of {{ text }}.": f"Tell of {text}.",
            "What is {{ text | upper }}?": f"What is {text.upper()}?",
            "Fixed.": "Fixed.",
            None: text,
        }[self.prompt.get("user")]
        pictures = [{"type": "image_url", "image_url": {"url": one[name]}} for name in self.columns if one[name]]
        words = [{"type": "text", "text": said}]
        content: Any = pictures + words if self.prompt.get("images_first") else words + pictures
        system = [{"role": "system", "content": self.prompt["system"]}] if "system" in self.prompt else []
        return {
            "model": self.model.get("name", "google/gemma-3-4b-it"),
            "messages": [*system, {"role": "user", "content": content if pictures else said}],
            "max_tokens": self.model.get("max_tokens", 64),
            "temperature": self.model.get("temperature", 0.0),
            "seed": self.model.get("seed"),
        }


PRICE = {"prompt": "0.00000002", "completion": "0.00000004"}


def row(number: int) -> dict[str, Any]:
    back = f"https://pictures.example/back/{number}.png" if number % 2 else None
    return {
        "id": f"r{number}",
        "text": f"thing {number}",
        "front": f"https://pictures.example/{number}.png",
        "back": back,
    }


async def live_through(folder: Path, nights: list[tuple[str, Any]]) -> None:
    async with echoing() as endpoint, rehearsal(folder) as run:
        job = Edited(run, endpoint)
        await job.go(RunOptions())
        for night in nights:
            await job.act(*night)
        await job.go(RunOptions(allow_shrink=True, replace=True))
        table = {cells["id"]: cells for cells in pq.read_table(run.output).to_pylist()}
        assert list(table) == [one["id"] for one in job.rows]
        for one in job.rows:
            assert table[one["id"]]["status"] == "ok"
            assert json.loads(table[one["id"]]["answer"]) == job.asked(one)
        found = await asyncio.to_thread(verify_job, load_job(job.source()))
        assert found.holds, found.findings
        assert (await run.books()).balanced


@pytest.mark.timeout(600)
def test_after_any_edits_every_answer_is_to_what_the_job_says_now(kills: int) -> None:
    many, same = max(8, 2 * kills), kills <= 5

    # Making a failing sequence shorter would take minutes.
    @settings(max_examples=many, derandomize=same, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(NIGHTS)
    def through(nights: list[tuple[str, Any]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(live_through(Path(folder), nights))

    through()
