"""The dry run as a flow: it says what a job would cost, and sends nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.batch import batch
from flows.estimate import estimate
from parquill.emulator import Emulator, EmulatorSettings
from tests.orchestration.flow_runs import artifacts_of, end_of
from tests.orchestration.small_jobs import small_job

pytestmark = pytest.mark.usefixtures("api")


async def test_an_estimate_sends_nothing_and_shows_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-or-v1-0123456789")
    async with Emulator(EmulatorSettings()) as emulator:
        job = small_job(tmp_path, model={"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"})
        state = await end_of(estimate, job, by="id", compare=True)
        assert emulator.stats().requests == 0

    assert state.is_completed()
    assert (state.message or "").startswith("6 rows to send to google/gemma-3-4b-it: about $")
    found = await state.aresult()
    assert found.rows.todo == 6
    table = str((await artifacts_of(state))["small-job-estimate"].data)
    for line in ("no usage records yet", "at worst", "by id: ", "the same tokens at other prices", "price"):
        assert line in table


async def test_an_estimate_of_a_finished_job_is_nothing(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    await end_of(batch, job)
    assert (await end_of(estimate, job)).message == "Nothing is left to ask: it would cost $0.00."


async def test_a_job_that_a_run_would_refuse_is_refused(tmp_path: Path) -> None:
    state = await end_of(estimate, small_job(tmp_path), {"prompt.user_column": "tittle"})
    assert state.is_failed()
    assert "tittle" in (state.message or "")
