"""An OpenAI-compatible endpoint whose replies a test writes, and which keeps its own bill."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from aiohttp import web
from aiohttp.test_utils import TestServer

from parquill.job import Job, load_job

PROMPT_PICO, COMPLETION_PICO = 20_000, 40_000
"""What a token costs at this endpoint, as its list of models says."""

MODELS = {
    "data": [{"id": "google/gemma-3-4b-it", "pricing": {"prompt": "0.00000002", "completion": "0.00000004"}}]
}  # fmt: skip


def completion(text: str | None = "a red boat", finish: str | None = "stop", **changes: Any) -> dict[str, Any]:
    """A usual answer; a change to `...` leaves the field out."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
    whole = {"id": "gen-1", "model": "google/gemma-3-4b-it", "choices": [choice], "usage": usage}
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


Reply = Callable[[str, int], Any]
"""The last user text, and how often it has come -> a body (a dict, text or bytes) or a `web.Response`."""


@dataclass
class Odd:
    """The endpoint's address, and the requests that it saw."""

    url: str = ""
    texts: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


@asynccontextmanager
async def odd_endpoint(reply: Reply, models: Any = MODELS) -> AsyncIterator[Odd]:
    """Serve until the context ends."""
    odd = Odd()

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else json.dumps(content)
        odd.texts.append(text)
        odd.bodies.append(body)
        said = reply(text, odd.texts.count(text))
        if isinstance(said, web.Response):
            return said
        raw = said if isinstance(said, bytes) else (said if isinstance(said, str) else json.dumps(said)).encode()
        return web.Response(body=raw, content_type="application/json")

    async def listed(_: web.Request) -> web.Response:
        return web.json_response(models)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", listed)
    async with TestServer(app, host="127.0.0.1") as server:
        odd.url = str(server.make_url("/v1"))
        yield odd


def odd_job(odd: Odd, folder: Path, texts: list[str], **sections: Any) -> Job:
    """A job of one row for each text."""
    pq.write_table(pa.table({"id": [f"r{at}" for at in range(len(texts))], "text": texts}), folder / "m.parquet")
    job: dict[str, Any] = {
        "name": "odd",
        "manifest": {"path": str(folder / "m.parquet"), "id_column": "id"},
        "prompt": {"user": "{{ text }}"},
        "output": {"path": str(folder / "out")},
        "model": {"endpoint": odd.url, "max_tokens": 64},
        "limits": {"max_in_flight": 4},
        "retry": {"max_attempts": 3},
    }
    for section, values in sections.items():
        job[section] = {**job.get(section, {}), **values}
    return load_job(job, environ={})


def output(folder: Path) -> list[dict[str, Any]]:
    """The rows of the output, in order."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "out").sort_by("id").to_pylist()
    return rows
