"""The nightly flow: the night's file, nothing new, the deadline, a backfill, and who is told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from prefect.runtime import flow_run

from flows.nightly import nightly
from parquill.emulator import read_log
from tests.orchestration.flow_runs import end_of
from tests.orchestration.small_jobs import output_of, small_job, verified, write_manifest
from tests.test_notify import webhook

pytestmark = pytest.mark.usefixtures("api")


def nightly_job(folder: Path, hook: str | None = None, **nightly_settings: Any) -> dict[str, Any]:
    """A job whose manifest and output have the night's date in their names."""
    job = small_job(folder, nightly={**nightly_settings, "notify": {"webhook": hook}})
    job["manifest"]["path"] = str(folder / "night-{date}.parquet")
    job["output"]["path"] = str(folder / "out-{date}")
    return job


def of(date: dt.date | str, job: dict[str, Any]) -> dict[str, Any]:
    """The job of one date, as it ran."""
    return {**job, **{name: {**job[name], "path": job[name]["path"].replace("{date}", str(date))}
                      for name in ("manifest", "output")}}  # fmt: skip


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


async def test_a_night_asks_for_the_file_of_its_date_and_word_goes_out(tmp_path: Path) -> None:
    async with webhook(200) as (hook, told):
        job = nightly_job(tmp_path, hook)
        write_manifest(tmp_path / f"night-{today()}.parquet", ["a", "b"])
        state = await end_of(nightly, job)

    assert state.is_completed(), state.message
    assert verified(of(today(), job)).rows["ok"] == 2
    assert [(one["event"], one["date"], one["summary"]["requests"]) for one in told] == [
        ("finished", str(today()), 2)
    ]  # fmt: skip


async def test_a_night_with_nothing_new_is_a_success_that_says_so(tmp_path: Path) -> None:
    async with webhook(200) as (hook, told):
        job = small_job(tmp_path, nightly={"notify": {"webhook": hook, "style": "slack"}})
        await end_of(nightly, job)
        again = await end_of(nightly, job)

    assert again.is_completed()
    assert "Nothing was left to ask" in (again.message or "")
    assert told[1]["text"].startswith("*small-job* nothing to do: 6 of 6 rows answered")


async def test_a_night_with_a_changed_prompt_waits_for_consent_or_says_what_it_replaced(tmp_path: Path) -> None:
    async with webhook(200) as (hook, told):
        job = small_job(tmp_path, nightly={"notify": {"webhook": hook}})
        await end_of(nightly, job)
        job["prompt"]["system"] = "Be brief."
        refused = await end_of(nightly, job)
        job["output"]["on_change"] = "replace"
        replaced = await end_of(nightly, job)

    assert refused.is_failed()
    assert replaced.is_completed()
    assert [one["event"] for one in told] == ["finished", "failed", "finished"]
    for one in told[1:]:
        assert "6 answers no longer match the job: prompt.system was changed" in one["text"]
    assert "--replace" in told[1]["text"]
    assert told[2]["summary"]["replaced"]["settings"] == ["prompt.system"]


async def test_rows_that_came_since_the_last_night_are_the_only_ones_asked(tmp_path: Path) -> None:
    job = small_job(tmp_path, manifest={"path": str(tmp_path / "days"), "id_column": None})
    write_manifest(tmp_path / "days" / "1.parquet", ["a", "b", "c"])
    await end_of(nightly, job)
    write_manifest(tmp_path / "days" / "2.parquet", ["d", "e"])
    summary = await (await end_of(nightly, job)).aresult()

    assert (summary.requests, summary.rows.kept, summary.rows.total) == (2, 3, 5)
    assert verified(job).holds


async def test_after_its_deadline_a_night_asks_nothing_and_leaves_the_rest_for_tomorrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with webhook(200) as (hook, told):
        job = nightly_job(tmp_path, hook, until="06:00", timezone="Europe/Berlin")
        write_manifest(tmp_path / "night-2026-01-10.parquet", ["a", "b"])
        due = dt.datetime(2026, 1, 9, 23, 30, tzinfo=dt.UTC)
        monkeypatch.setattr(flow_run, "scheduled_start_time", due, raising=False)
        late = await end_of(nightly, job)

    assert late.name == "StoppedByDeadline"
    assert not late.is_failed()
    assert set(output_of(of("2026-01-10", job)).column("status").to_pylist()) == {"not_attempted"}
    assert read_log(tmp_path / "out-2026-01-10.parquill" / "emulator.jsonl").requests == 0
    assert told[0]["event"] == "stopped"


async def test_a_backfill_runs_each_night_and_names_the_one_that_failed(tmp_path: Path) -> None:
    async with webhook(200) as (hook, told):
        job = nightly_job(tmp_path, hook)
        for day in ("2026-02-27", "2026-03-01"):
            write_manifest(tmp_path / f"night-{day}.parquet", ["a", day])
        state = await end_of(nightly, job, first="2026-02-27", last="2026-03-01")

    assert state.is_failed()
    assert "2026-02-28: " in (state.message or "")
    assert [one["event"] for one in told] == ["finished", "failed", "finished"]
    for day in ("2026-02-27", "2026-03-01"):
        assert verified(of(day, job)).rows["ok"] == 2


async def test_a_webhook_that_refuses_does_not_fail_the_night_and_its_address_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with webhook(404) as (hook, told):
        monkeypatch.setenv("HOOK", hook)
        state = await end_of(nightly, small_job(tmp_path, nightly={"notify": {"webhook": "${HOOK}"}}))

    assert state.is_completed()
    assert len(told) == 1
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"hush-4711" in path.read_bytes()]
    assert (written, "hush-4711" in str(capfd.readouterr())) == ([], False)


async def test_dates_that_are_none_are_refused_in_words(tmp_path: Path) -> None:
    state = await end_of(nightly, small_job(tmp_path), first="2026-03-01", last="2026-02-01")
    assert state.is_failed()
    assert "2026-02-01 is before 2026-03-01" in (state.message or "")


@pytest.mark.parametrize(("most", "asked"), [("0.0000001", 0), ("1", 2)])
async def test_a_night_that_could_cost_too_much_sends_nothing_and_fails(tmp_path: Path, most: str, asked: int) -> None:
    async with webhook(200) as (hook, told):
        job = nightly_job(tmp_path, hook, max_usd=most)
        write_manifest(tmp_path / f"night-{today()}.parquet", ["a", "b"])
        state = await end_of(nightly, job)

    if asked:
        assert state.is_completed()
        assert verified(of(today(), job)).rows["ok"] == asked
    else:
        assert state.is_failed()
        assert "nightly.max_usd 0.0000001: this may cost up to $" in (state.message or "")
        assert not list(tmp_path.glob("out-*[0-9]/*"))
        assert told[0]["event"] == "failed"
