"""Limits that the job does not name and the endpoint sends in headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parquill.emulator import Spread
from parquill.limits.rate_limit_headers import AGREED
from parquill.limits.state import FIRST_SLOTS
from parquill.observers import Stoppable, Watched
from parquill.run_state import LimitUse
from tests.e2e.kit import rehearsal, rows, until


@pytest.mark.parametrize("form", ["openai", "litellm"])
async def test_limits_in_an_answers_headers_become_the_runs_own(form: str, tmp_path: Path) -> None:
    seen: list[tuple[LimitUse, ...]] = []

    @asynccontextmanager
    async def attach(_: Stoppable, watch: Watched) -> AsyncIterator[None]:
        async def look() -> None:
            await until(lambda: watch.state().done >= 55)
            seen.append(watch.state().limits)

        looking = asyncio.create_task(look())
        yield
        await looking

    limits = {"requests_per_minute": 1200, "tokens_per_minute": 60_000, "window": "sliding", "limit_headers": form}
    async with rehearsal(tmp_path, **limits) as run:
        run.write(rows(60))
        summary = await run.run(attach=attach)
        assert (summary.rows.ok, run.emulator.stats().rate_limited) == (60, 0)
    told = {use.name: use.of for use in seen[0]}
    assert told["requests/min"] == 1200
    assert told["tokens/min"] == 60_000


async def test_a_gateway_that_tells_its_tokens_and_takes_few_at_once_refuses_next_to_nothing(tmp_path: Path) -> None:
    """As LiteLLM's proxy does: what leaves before three answers have told the limit may be refused, no more."""
    slots = 9
    told = {"limit_headers": "litellm", "limit_form": "litellm", "tokens_counted": "answered", "latency": Spread(0.1)}
    async with rehearsal(tmp_path, tokens_per_minute=120_000, max_concurrent=slots, **told) as run:
        run.write(rows(60))
        summary = await run.run(limits={"max_in_flight": "auto"})
        assert summary.rows.ok == 60
        assert run.emulator.stats().rate_limited <= FIRST_SLOTS + AGREED - slots
