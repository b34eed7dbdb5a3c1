"""The batch flow on a real Prefect API: how runs end, what is shown, and what is not."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from flows.batch import batch
from parquill.emulator import Emulator, EmulatorSettings, Spread, read_log
from tests.e2e.kit import until
from tests.orchestration.flow_runs import artifacts_of, end_of, logs_of, run_id
from tests.orchestration.small_jobs import TITLE, output_of, small_job, verified

pytestmark = pytest.mark.usefixtures("api")


async def test_a_job_ends_completed_with_its_figures_as_artifacts(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    state = await end_of(batch, job)
    summary = await state.aresult()

    assert state.is_completed()
    assert "6 of 6 rows answered" in (state.message or "")
    assert verified(job).holds
    shown = await artifacts_of(state)
    assert shown["small-job-progress"].data == 100.0
    table = str(shown["small-job-summary"].data)
    for figure in ("requests", "tokens in", "cost in USD"):
        assert figure in table
    assert str(summary.tokens.prompt) in table
    report = tmp_path / "out.parquill" / "report.html"
    assert report.read_bytes().startswith(b"<!doctype html>")
    assert report.as_uri() in str(shown["small-job-report"].data)
    assert str(shown["small-job-cost"].data).startswith("data:image/svg+xml;base64,")


async def test_the_same_flow_again_sends_nothing_and_says_so(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    await end_of(batch, job)
    again = await end_of(batch, job)

    assert again.is_completed()
    assert "0 requests sent" in (again.message or "")
    assert (await again.aresult()).rows.kept == 6


async def test_a_changed_prompt_needs_the_parameter_replace(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    await end_of(batch, job)
    job["prompt"]["system"] = "Be brief."
    before = output_of(job)
    refused = await end_of(batch, job)
    assert refused.is_failed()
    assert "replace: true" in (refused.message or "")
    assert output_of(job).equals(before)
    replaced = await end_of(batch, job, replace=True)
    assert replaced.is_completed()
    assert "6 requests sent" in (replaced.message or "")
    assert "prompt.system was changed" in (replaced.message or "")


async def test_a_sample_is_asked_beside_the_table_and_nothing_is_published(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    await end_of(batch, job)
    job["prompt"]["system"] = "Be brief."
    before = output_of(job)
    tried = await end_of(batch, job, sample=2)
    assert tried.is_completed()
    assert len((await tried.aresult()).sample) == 2
    assert output_of(job).equals(before)
    assert "small-job-summary" not in await artifacts_of(tried)


async def test_failed_rows_are_reported_and_do_not_fail_the_run(tmp_path: Path) -> None:
    state = await end_of(batch, small_job(tmp_path, titles=["a", None, "c"]))

    assert state.is_completed()
    assert "1 failed (bad_row 1)" in (state.message or "")


async def test_a_budget_stops_the_run_in_a_state_of_its_own_name(tmp_path: Path) -> None:
    job = small_job(tmp_path, rows=40, budget={"usd": "0.00001"})
    state = await end_of(batch, job)

    assert state.name == "StoppedByBudget"
    assert not state.is_failed()
    assert "budget.usd" in (state.message or "")
    statuses = output_of(job).column("status").to_pylist()
    assert len(statuses) == 40
    assert {"ok", "not_attempted"} == set(statuses)
    assert verified(job).holds


async def test_an_account_without_credit_fails_the_run_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-or-v1-0123456789")
    async with Emulator(EmulatorSettings(credit_usd=Decimal(0))) as emulator:
        job = small_job(tmp_path, model={"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"})
        state = await end_of(batch, job)

    assert state.is_failed()
    assert "credit" in (state.message or "").lower()
    assert set(output_of(job).column("status").to_pylist()) == {"not_attempted"}


async def test_a_wrong_job_fails_before_anything_is_sent(tmp_path: Path) -> None:
    state = await end_of(batch, small_job(tmp_path), {"manifest.path": str(tmp_path / "missing.parquet")})

    assert state.is_failed()
    assert "missing.parquet" in (state.message or "")
    assert not (tmp_path / "out").exists()


async def test_a_cancelled_flow_keeps_what_it_received_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-or-v1-0123456789")
    async with Emulator(EmulatorSettings(latency=Spread(0.05), log_path=tmp_path / "bill.jsonl")) as emulator:
        model = {"endpoint": emulator.base_url, "api_key_env": "SOME_KEY"}
        job = small_job(tmp_path, rows=60, model=model, limits={"max_in_flight": 4})
        running = asyncio.create_task(end_of(batch, job))
        await until(lambda: emulator.stats().requests >= 12)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        before = emulator.stats().requests
        assert 12 <= before < 60
        state = await end_of(batch, job)

    assert state.is_completed()
    assert set(output_of(job).column("status").to_pylist()) == {"ok"}
    assert read_log(tmp_path / "bill.jsonl").requests == 60, "what was in flight at the cancellation had its time"
    assert verified(job).holds


async def test_no_row_is_sent_to_the_server(tmp_path: Path) -> None:
    state = await end_of(batch, small_job(tmp_path, titles=[f"{TITLE} 1", f"{TITLE} 2"]))

    log = await logs_of(state, until=lambda text: "2 of 2 rows (100 %)" in text)
    shown = await artifacts_of(state)
    assert TITLE not in log + str([(one.data, one.description) for one in shown.values()])
    assert run_id(state)
