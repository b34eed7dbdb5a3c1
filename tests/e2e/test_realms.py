"""Answers of an emulator stay simulated; answers of other outputs are taken over only where they fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from parquill.emulator import Misbehaviour
from parquill.planning import RunOptions
from tests.e2e.kit import rehearsal, rows

PRICE = {"prompt": "0.00000002", "completion": "0.00000004"}


class Elsewhere:
    """A small OpenAI-compatible server that is no emulator and knows nothing of models."""

    def __init__(self) -> None:
        self.base_url = ""
        self.asked: Counter[str] = Counter()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            return web.json_response({"error": "not here"}, status=404)
        body = orjson.loads(await request.read())
        text = body["messages"][-1]["content"]
        self.asked[str(text)] += 1
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"real: {text}"}}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return web.json_response({"id": "chat-1", "model": body["model"], "choices": [choice], "usage": usage})


@asynccontextmanager
async def another_endpoint() -> AsyncIterator[Elsewhere]:
    other = Elsewhere()
    server = web.ServerRunner(web.Server(other.answer))
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    host, port = server.addresses[0][:2]
    other.base_url = f"http://{host}:{port}/v1"
    try:
        yield other
    finally:
        await server.cleanup()


async def test_another_endpoint_takes_over_no_simulated_answer_nor_the_other_way_round(tmp_path: Path) -> None:
    async with another_endpoint() as other, rehearsal(tmp_path) as run:
        run.write(rows(12))
        run.emulator.plan(Misbehaviour.MODERATED)
        first = await run.run()
        assert (first.rows.ok, first.rows.failed) == (11, 1)
        simulated = run.column("answer")

        real: dict[str, Any] = {"model": {"endpoint": other.base_url, "max_tokens": 64, "price": PRICE}}
        second = await run.run(**real)
        assert (second.rows.ok, second.requests, other.asked.total()) == (12, 12, 12), "a simulated failure is none"
        assert all(text.startswith("real: ") for text in run.column("answer"))
        assert set(run.column("provider")) == {None} and set(run.column("cost_source")) == {"price"}
        await run.must_hold(**real)

        asked = run.asked
        back = await run.run(RunOptions(replace=True))
        assert (back.requests, run.asked - asked) == (1, 1), "all come back from the archive, but for the failed one"
        assert run.column("answer")[1:] == simulated[1:]
        await run.must_hold()
        assert (await run.run(**real)).requests == 0
        assert other.asked.total() == 12
        await run.must_hold(**real)
        assert (await run.books()).balanced


async def test_a_stop_in_one_realm_leaves_nothing_to_the_other(tmp_path: Path) -> None:
    async with another_endpoint() as other, rehearsal(tmp_path) as run:
        run.write(rows(20))
        run.emulator.plan(*[Misbehaviour.SERVER_ERROR] * 5)
        await run.run(retry={"max_attempts": 1}, limits={"requests_per_day": 9})
        real: dict[str, Any] = {"model": {"endpoint": other.base_url, "max_tokens": 64, "price": PRICE}}
        assert (await run.run(**real)).requests == 20
        assert set(run.column("attempts")) == {1}
        await run.must_hold(**real)


async def test_last_nights_output_pays_for_tonights(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(20))
        await run.run(output={"path": str(tmp_path / "nights" / "1")})
        run.write(rows(20, first=10))
        reuse = {"output": {"reuse_from": [str(tmp_path / "nights" / "*")]}}
        summary = await run.run(**reuse)
        assert (summary.requests, summary.rows.reused, run.asked) == (10, 10, 30)
        table = run.table().to_pylist()
        assert [row["cost_source"] for row in table] == ["reused"] * 10 + ["endpoint"] * 10
        assert {row["cost_usd"] for row in table[:10]} == {0} and {row["attempts"] for row in table[:10]} == {0}
        await run.must_hold(**reuse)


async def test_rows_from_elsewhere_keep_what_was_spent_on_them_before(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as run:
        run.write(rows(3))
        await run.run(output={"path": str(tmp_path / "other")})
        run.emulator.set_misbehaviour({Misbehaviour.NULL_CONTENT: 1.0})
        await run.run(retry={"max_attempts": 2})
        spent = run.column("cost_usd")
        assert min(spent) > 0 and set(run.column("status")) == {"failed"}
        await run.run(output={"reuse_from": [str(tmp_path / "other")]})
        assert set(run.column("status")) == {"ok"}
        assert run.column("cost_usd") == spent
        await run.must_hold()
