"""What is looked up before a run: how long it may take, and the address that was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parquill.client import Client
from parquill.endpoint.facts import look_up
from parquill.endpoint.lookups import PATIENCE_SECONDS, Lookups, answering_below
from parquill.errors import JobError, Stop
from parquill.job import load_job
from parquill.replies import Exchange
from tests.clock import ManualClock
from tests.e2e.kit import rehearsal, rows
from tests.wire import Answer, reply, serving, silence

MODELS = {"data": [{"id": "m"}]}
JOB = {
    "name": "j",
    "manifest": {"path": "m.parquet"},
    "prompt": {"user": "x"},
    "output": {"path": "out"},
    "model": {"name": "m", "endpoint": "http://here.example/v1", "fallback_models": ["n", "o"]},
}


class Slow:
    """An endpoint whose look-ups hang as long as they may; `known` are answered at once."""

    def __init__(self, clock: ManualClock, known: dict[str, Any]) -> None:
        self._clock = clock
        self._known = known
        self.asked: list[str] = []

    async def complete(self, body: bytes, *, seconds: float, on_id: Callable[[str], object]) -> Exchange:
        raise AssertionError

    async def get_json(self, path: str, *, seconds: float = 20.0) -> tuple[int, Any]:
        self.asked.append(path)
        if path in self._known:
            return 200, self._known[path]
        await self._clock.advance(seconds)
        return 0, None

    async def is_there(self, path: str, *, seconds: float) -> bool:
        raise AssertionError


@pytest.mark.parametrize("known", [{}, {"/models": MODELS}, {"/models": {}}])
async def test_look_ups_that_hang_delay_the_start_by_three_seconds_at_most(known: dict[str, Any]) -> None:
    clock = ManualClock()
    before = clock.monotonic()
    facts = await look_up(Slow(clock, known), "http://here.example", load_job(JOB), clock)
    assert clock.monotonic() - before <= PATIENCE_SECONDS == 3
    assert facts.reachable == bool(known)


async def test_one_look_up_that_hangs_leaves_time_for_the_other() -> None:
    clock = ManualClock()
    priced = {"data": [{"id": "m", "pricing": {"prompt": "0.000001", "completion": "0.000002"}}]}
    facts = await look_up(Slow(clock, {"/models": priced}), "http://here.example/v1", load_job(JOB), clock)
    assert facts.price is not None


async def test_a_server_that_takes_connections_and_says_nothing_is_left_in_time() -> None:
    async with serving(silence) as server, Client(server.url, None) as client:
        async with asyncio.timeout(5):
            assert await client.get_json("/models", seconds=0.1) == (0, None)


@pytest.mark.parametrize(
    ("base", "models", "other"),
    [
        ("http://h", "/v1/models", "http://h/v1"),
        ("http://h/", "/api/v1/models", "http://h/api/v1"),
        ("http://h", "/openai/v1/models", "http://h/openai/v1"),
        ("http://h/v1", "/v1/models", ""),
        ("http://h/v1beta", "/v1/models", ""),
    ],
)
async def test_the_address_that_was_meant_is_found_below_the_one_that_was_written(
    base: str, models: str, other: str
) -> None:
    clock = ManualClock()
    known = {path: {} for path in ("/v1/models", "/api/v1/models")} | {models: MODELS}
    assert await answering_below(Lookups(Slow(clock, known), clock), base) == other


@pytest.mark.parametrize("page", [reply(b"<html>", Content_Type="text/html"), reply(b"{}", "404 Not Found")])
async def test_a_page_or_an_error_is_no_list_of_models(page: Answer) -> None:
    async with serving(page) as server, Client(server.url, None) as client:
        assert await answering_below(Lookups(client, ManualClock()), "http://h") == ""


async def test_a_run_at_an_address_that_ends_too_early_names_the_right_one(tmp_path: Path) -> None:
    async with rehearsal(tmp_path) as work:
        work.write(rows(3))
        origin = work.emulator.base_url.removesuffix("/api/v1")
        summary = await work.run(model={"endpoint": origin})
        assert (summary.exit_status, summary.stopped_by) == (5, Stop.REFUSED)
        assert f"{origin} has no list of models, {origin}/v1 has: name that one" in (summary.stop_message or "")
        with pytest.raises(JobError, match="/v1 has: name that one"):
            await work.run(model={"endpoint": origin}, budget={"usd": "1"})


@pytest.mark.parametrize("end", ["", "/", "?api-version=1"])
def test_an_address_of_completions_is_refused_and_told_why(end: str) -> None:
    job = {**JOB, "model": {"name": "m", "endpoint": f"http://h.example/v1/chat/completions{end}"}}
    with pytest.raises(JobError, match="the base URL without /chat/completions"):
        load_job(job)
