"""Refused rows where several processes ask a run: each knows its own answers, the run knows all of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from parquill.errors import Stop
from tests.e2e.gateway import Said, gateway
from tests.orchestration.small_jobs import output_of, small_job, verified
from tests.portions.forked_pool import run_shared as run

REFUSED = {"error": {"message": "Not for you.", "code": 403}}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-or-v1-0123456789")


def job_at(folder: Path, url: str, rows: int) -> dict[str, Any]:
    model = {"endpoint": url, "api_key_env": "SOME_KEY"}
    return small_job(
        folder,
        rows=rows,
        model=model,
        output={"rows_per_part": 20},
        run={"workers": 2},
        limits={"max_in_flight": 4},
    )


async def test_rows_refused_for_their_content_fail_alone_though_their_process_had_no_other_row(tmp_path: Path) -> None:
    """The second process has refused rows only: what the first was answered decides."""

    def reply(text: str) -> Said:
        return Said(403, REFUSED) if int(text.rsplit(maxsplit=1)[-1]) >= 5 else Said()

    async with gateway(reply) as other:
        job = job_at(tmp_path, other.url, rows=10)
        summary = await run(job)
        refused = output_of(job).column("error_kind").to_pylist().count("refused")
        assert (summary.stopped_by, summary.exit_status) == (None, 3), summary.stop_message
        assert refused == summary.rows.failed == 5
        assert (await run(job)).requests == 0
        assert (await asyncio.to_thread(verified, job)).holds


async def test_an_endpoint_that_refuses_every_row_stops_all_processes_and_fails_no_row(tmp_path: Path) -> None:
    async with gateway(lambda _: Said(403, REFUSED)) as other:
        job = job_at(tmp_path, other.url, rows=200)
        summary = await run(job)
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.REFUSED, 5, 0)
        assert "Not for you." in (summary.stop_message or "")
        assert len(other.texts) <= 2 * (10 + 64)
        assert (await asyncio.to_thread(verified, job)).holds


async def test_so_does_one_whose_processes_have_fewer_rows_than_it_takes_to_know(tmp_path: Path) -> None:
    async with gateway(lambda _: Said(403, REFUSED)) as other:
        job = job_at(tmp_path, other.url, rows=6)
        summary = await run(job)
        assert (summary.stopped_by, summary.exit_status, summary.rows.failed) == (Stop.REFUSED, 5, 0)
        assert (await asyncio.to_thread(verified, job)).holds
