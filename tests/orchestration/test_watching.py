"""A run seen from outside: lines of a log, the progress artifact, and a server that is not there."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from parquill import load_job
from parquill.emulator import Emulator, EmulatorSettings, Spread
from parquill.job import Secret
from parquill.running import run_job
from tasks.progress_artifact import ARTIFACT_SECONDS, LOG_SECONDS, watched
from tests.clock import ManualClock
from tests.e2e.kit import until
from tests.orchestration.server import free_port
from tests.orchestration.small_jobs import TITLE, small_job

KEY = Secret("sk-or-v1-0123456789")
logger = logging.getLogger("tests.watching")


@pytest.mark.usefixtures("api")
async def test_a_line_every_ten_seconds_and_nothing_of_any_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger.name)
    clock = ManualClock()
    async with Emulator(EmulatorSettings(latency=Spread(2.0))) as emulator:
        job = load_job(small_job(tmp_path, rows=20, model={"endpoint": emulator.base_url}))
        running = asyncio.create_task(run_job(job, key=KEY, attach=watched("small-job", logger, clock)))
        await until(lambda: emulator.stats().requests >= 1)
        for _ in range(3):
            await clock.advance(LOG_SECONDS)
        await running

    records = [record for record in caplog.records if record.name == logger.name and record.levelno == logging.INFO]
    lines = [record.getMessage() for record in records]
    assert len(lines) == 1 + 3 + 1, "at the start, three times, and at the end"
    assert "20 of 20 rows (100 %)" in lines[-1]
    assert TITLE not in "".join(lines)


async def test_a_missing_server_is_reported_once_and_delays_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger.name)
    clock = ManualClock()
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        async with Emulator(EmulatorSettings(latency=Spread(0.05))) as emulator:
            job = load_job(small_job(tmp_path, rows=20, model={"endpoint": emulator.base_url}))
            running = asyncio.create_task(run_job(job, key=KEY, attach=watched("small-job", logger, clock)))
            await until(lambda: emulator.stats().requests >= 1)
            await clock.advance(ARTIFACT_SECONDS)
            summary = await running

    assert summary.rows.ok == 20
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "the run goes on" in warnings[0]


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("flows.batch, flows.nightly, flows.estimate", "pyarrow numpy pandas aiohttp PIL jinja2 parquill.running"),
        ("parquill.cli, parquill.api, parquill.terminal", "prefect flows tasks"),
        (
            "parquill.cli, parquill.running, parquill.terminal",
            "pandas rich PIL jinja2 tenacity jsonschema tokenizers pypdfium2 pyarrow.dataset "
            "parquill.progress parquill.report parquill.estimation parquill.verification parquill.emulator",
        ),
    ],
)
def test_what_is_not_needed_yet_is_not_loaded(modules: str, absent: str) -> None:
    code = f"import sys, {modules}\nprint(*sorted(set({absent.split()!r}) & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert said.stdout.split() == []
