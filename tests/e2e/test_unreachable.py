"""An endpoint that answers nothing: rows wait for it, the run says why it waits, and gives up in the end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import Stop
from parquill.observers import Stoppable, Watched
from tests.e2e.gateway import Said, gateway
from tests.e2e.kit import rehearsal, rows, until

MEMORY = {"error": {"message": "model requires more system memory (5.6 GiB) than is available"}}
LOADING = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def hearing(messages: list[str]) -> Any:
    """An `attach` that notes what the run says it waits for."""

    @asynccontextmanager
    async def attach(_: Stoppable, watch: Watched) -> AsyncIterator[None]:
        async def look() -> None:
            await until(lambda: bool(messages.append(watch.state().message or "")))

        looking = asyncio.create_task(look())
        yield
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    return attach


@pytest.mark.parametrize("count", [1, 3, 100])
async def test_where_nothing_listens_the_run_gives_up_and_fails_no_row(count: int, tmp_path: Path) -> None:
    sections = {"model": {"endpoint": closed_port()}, "retry": {"give_up_seconds": 2}}
    async with rehearsal(tmp_path, sections=sections) as run:
        run.write(rows(count))
        summary = await run.run()
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.UNREACHABLE, 4, 0)
        assert summary.rows.not_attempted == count
        assert "retry.give_up_seconds" in (summary.stop_message or "")
        assert "onnect" in (summary.stop_message or ""), "the fault's own words"
        await run.must_hold()


@pytest.mark.parametrize(
    "said",
    [Said(500, MEMORY), Said(429, {"error": {"message": "system memory is short", "code": 429}})],
    ids=["500", "429"],
)
@pytest.mark.parametrize("count", [3, 100])
async def test_one_and_the_same_fault_is_shown_while_it_lasts_and_ends_the_run(
    said: Said, count: int, tmp_path: Path
) -> None:
    messages: list[str] = []
    async with gateway(lambda _: said) as other:
        sections = {"model": other.model(), "retry": {"give_up_seconds": 7}}
        async with rehearsal(tmp_path, sections=sections) as run:
            run.write(rows(count))
            summary = await run.run(attach=hearing(messages))
            assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.UNREACHABLE, 4, 0)
            assert "system memory" in (summary.stop_message or "")
            assert any("system memory" in message and "stopping" not in message for message in messages)
            assert not any("asked for a pause" in message for message in messages), "it did not ask"
            assert len(other.texts) <= 32 + 20, "those in flight at the start, and 20"
            await run.must_hold()


async def test_a_server_that_loads_its_model_is_waited_for_by_a_small_job(tmp_path: Path) -> None:
    began = time.monotonic()

    def reply(_: str) -> Said:
        return Said(503, LOADING) if time.monotonic() - began < 4 else Said()

    async with gateway(reply) as other:
        sections = {"model": other.model(), "retry": {"max_attempts": 1, "deadline_seconds": 3}}
        async with rehearsal(tmp_path, sections=sections) as run:
            run.write(rows(3))
            assert (await run.run()).rows.ok == 3
            await run.must_hold()


async def test_a_fault_says_how_long_to_wait_and_is_heard(tmp_path: Path) -> None:
    at: list[float] = []

    def reply(text: str) -> Said:
        if text != rows(10)["text"][9]:
            return Said()
        at.append(time.monotonic())
        return Said(503, LOADING, headers={"Retry-After": "2"}) if len(at) < 2 else Said()

    async with gateway(reply) as other, rehearsal(tmp_path, sections={"model": other.model()}) as run:
        run.write(rows(10))
        assert (await run.run()).rows.ok == 10
        assert at[1] - at[0] >= 2.0


async def test_a_row_that_is_asked_to_wait_for_longer_than_it_has_ends_at_once(tmp_path: Path) -> None:
    bad = rows(10)["text"][9]

    def reply(text: str) -> Said:
        return Said(503, LOADING, headers={"Retry-After": "3600"}) if text == bad else Said()

    async with gateway(reply) as other, rehearsal(tmp_path, sections={"model": other.model()}) as run:
        run.write(rows(10))
        summary = await run.run()
        assert (summary.rows.ok, summary.rows.failed) == (9, 1)
        assert run.column("error_kind")[9] == "server_error"
        assert other.texts.count(bad) == 1
        assert "Loading model" in run.column("error_message")[9]


async def test_a_row_that_fails_by_itself_does_not_hold_up_the_rows_that_are_answered(tmp_path: Path) -> None:
    """Its own fault, the first of the run: others are tried, and then it is known to be the row's."""
    bad = rows(20)["text"][0]
    async with gateway(lambda text: Said(500, MEMORY) if text == bad else Said()) as other:
        sections = {"model": other.model(), "limits": {"max_in_flight": 1}, "retry": {"max_attempts": 3}}
        async with rehearsal(tmp_path, sections=sections) as run:
            run.write(rows(20))
            summary = await run.run()
            assert (summary.rows.ok, summary.rows.failed, summary.exit_status) == (19, 1, 3)
            assert run.column("error_kind")[0] == "server_error"
            await run.must_hold()
