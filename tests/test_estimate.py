"""The dry run: it asks nothing of anybody, and says what the run will do."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from parquill.clock import SystemClock
from parquill.emulator import Emulator, EmulatorSettings, Misbehaviour, read_log
from parquill.errors import EstimateAboveError, JobError
from parquill.estimation import Estimate, EstimateOptions, Rows, estimate_job, refuse_above, render_estimate
from parquill.job import Job, load_job, state_home
from parquill.ledger import Ledger
from parquill.planning import RunOptions
from parquill.planning.planner import Planner
from parquill.planning.preparation import prepare
from parquill.progress import render_summary
from parquill.running import run_job
from parquill.storage import Storage
from parquill.summary import RunRecord
from parquill.verification import verify_job
from parquill.workspace import Workspace
from tests.clock import ManualClock
from tests.outputs import OK
from tests.pdfs import pdf

KEY = "PARQUILL_TEST_KEY"


class Desk:
    """A job in a folder of its own, and the emulator it would ask."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self.workspace = Workspace.of(str(folder / "out"), state_home())

    def write(self, columns: Mapping[str, Sequence[Any]], name: str = "m.parquet") -> None:
        pq.write_table(pa.table(dict(columns)), self.folder / name)

    def texts(self, count: int, first: int = 0) -> dict[str, list[str]]:
        numbers = range(first, first + count)
        return {"id": [f"r{number}" for number in numbers], "text": [f"Describe thing {number}." for number in numbers]}

    def job(self, **sections: Any) -> Job:
        source: dict[str, Any] = {
            "name": "dry",
            "manifest": {"path": str(self.folder / "m.parquet"), "id_column": "id"},
            "prompt": {"user_column": "text"},
            "output": {"path": str(self.folder / "out"), "rows_per_part": 20},
            "model": {"endpoint": self.emulator.base_url, "api_key_env": KEY, "max_tokens": 64},
        }
        for section, values in sections.items():
            source[section] = source.get(section, {}) | values
        return load_job(source, environ={})

    def sent(self) -> int:
        """Chat requests that the emulator billed."""
        path = self.folder / "bill.jsonl"
        return read_log(path).requests if path.exists() else 0

    def lines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.workspace.estimate).to_pylist()
        return found


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(KEY, "sk-or-v1-a-key-for-tests-0123456789")
    return KEY


@pytest.fixture
async def desk(tmp_path: Path, key: str) -> AsyncIterator[Desk]:
    settings = EmulatorSettings(log_path=tmp_path / "bill.jsonl", context_length=600, max_completion_tokens=300)
    async with Emulator(settings) as emulator:
        yield Desk(tmp_path, emulator)


async def test_an_estimate_sends_nothing_and_leaves_only_its_own_files(desk: Desk) -> None:
    desk.write(desk.texts(50))
    found = await estimate_job(desk.job())
    assert found.rows == Rows(todo=50)
    assert desk.sent() == 0
    assert not (desk.folder / "out").exists()
    assert {path.name for path in desk.workspace.folder.iterdir()} == {"estimate.parquet", "estimate.json"}


async def test_an_estimate_needs_no_lock(desk: Desk) -> None:
    desk.write(desk.texts(3))
    with desk.workspace.lock():
        assert (await estimate_job(desk.job())).rows.todo == 3


async def test_a_finished_job_costs_nothing(desk: Desk) -> None:
    desk.write(desk.texts(50))
    await run_job(desk.job())
    found = await estimate_job(desk.job())
    assert found.rows == Rows(kept=50)
    assert found.cost is not None
    assert found.to_json()["cost_usd"] == {"expected": "0", "low": "0", "high": "0", "worst": "0"}
    assert found.seconds == 0


async def test_of_two_per_cent_new_rows_two_per_cent_are_sent(desk: Desk) -> None:
    desk.write(desk.texts(98))
    await run_job(desk.job())
    desk.write(desk.texts(100))
    found = await estimate_job(desk.job())
    assert found.rows == Rows(todo=2, kept=98)
    assert found.unanswered == 2


async def test_equal_rows_are_sent_once(desk: Desk) -> None:
    desk.write({"id": ["a", "b", "c"], "text": ["Say yes.", "Say no.", "Say yes."]})
    assert (await estimate_job(desk.job())).rows == Rows(todo=2, equal=1)


async def test_answers_in_another_output_are_equal(desk: Desk) -> None:
    desk.write(desk.texts(10))
    await run_job(desk.job())
    other = desk.job(output={"path": str(desk.folder / "second"), "reuse_from": [str(desk.folder / "out")]})
    assert (await estimate_job(other)).rows == Rows(equal=10)


async def test_rows_that_can_never_be_asked_are_failing_and_free(desk: Desk) -> None:
    desk.write({"id": ["a", "b", "c"], "text": ["Say yes.", None, "word " * 800]})
    found = await estimate_job(desk.job())
    assert found.rows == Rows(todo=1, failing=2)
    assert found.failing_by_kind == {"bad_row": 1, "context_overflow": 1}
    summary = await run_job(desk.job())
    assert summary.errors_by_kind == found.failing_by_kind, "the run agrees"


async def test_renamed_rows_are_found_again_and_nothing_moves_for_an_estimate(desk: Desk) -> None:
    before = desk.texts(30)
    desk.write(before)
    await run_job(desk.job())
    desk.write(before | {"id": [f"other-{key}" for key in before["id"]]})
    assert (await estimate_job(desk.job())).rows == Rows(kept=30)
    desk.write(before)
    assert verify_job(desk.job()).holds, "the estimate lifted nothing into the archive"


async def test_outcomes_of_a_dead_process_are_kept(desk: Desk) -> None:
    """Rows that stand in the ledger of an open slice alone, as after kill -9."""
    desk.write(desk.texts(30))
    job = desk.job()
    opened = prepare(job, SystemClock())
    digests = Planner(opened, Storage.at(job.output.path)).digests()
    part = opened.manifest.slices[0].part
    with desk.workspace.lock():
        ledger = Ledger.open(desk.workspace.ledger, job=job.name)
        run = await ledger.begin_run(realm="emulator", model=job.model.name, settings="s", cap_pico=None)
        held = await ledger.slice(part, f"{digests[part]}emulator")
        for row in (0, 7):
            await ledger.record(
                run=run,
                slice_id=held.id,
                row=row,
                fingerprint=bytes([row] * 16),
                ok=True,
                payload=OK.encode(),
                attempt=None,
                cost_pico=0,
                prompt_tokens=0,
                completion_tokens=0,
            )
        assert (await estimate_job(job)).rows == Rows(todo=28, kept=2)
        ledger.close()
    assert (await estimate_job(job)).rows == Rows(todo=28, kept=2)


async def test_what_a_calibration_sends_is_kept_and_never_paid_again(desk: Desk) -> None:
    desk.write(desk.texts(120))
    job = desk.job()
    guess = await estimate_job(job)
    found = await estimate_job(job, EstimateOptions(calibrate=20))
    assert desk.sent() == 20
    assert found.rows == Rows(todo=100, kept=20)
    assert found.calibration is not None
    assert found.calibration.rows == 20
    assert _half_width(found) < _half_width(guess) / 3
    summary = await run_job(job)
    assert summary.rows.kept == 20
    assert desk.sent() == 120


async def test_a_runs_summary_is_held_against_the_estimate_made_for_it(desk: Desk) -> None:
    desk.write(desk.texts(100))
    job = desk.job()
    found = await estimate_job(job, EstimateOptions(calibrate=25))
    summary = await run_job(job)
    assert found.cost is not None
    assert summary.estimate == found.cost.range
    assert found.cost.low_pico <= summary.cost_pico <= found.cost.high_pico


async def test_a_runs_rows_are_held_against_the_estimate_quantile_by_quantile(desk: Desk) -> None:
    desk.write(desk.texts(220))
    await estimate_job(desk.job(), EstimateOptions(calibrate=60))
    summary = await run_job(desk.job())
    assert summary.estimate is not None
    costs = [one for one in pq.read_table(desk.folder / "out").to_pylist() if one["attempts"]]
    assert len(summary.rows_pico) == len(summary.estimate.rows_pico) == 3
    median = sorted(int(one["cost_usd"].scaleb(12)) for one in costs)[len(costs) // 2]
    assert summary.rows_pico[0] == pytest.approx(median, rel=0.1)
    assert summary.estimate.rows_pico == pytest.approx(summary.rows_pico, rel=0.25)
    console = Console(width=120, record=True, file=io.StringIO())
    render_summary(summary, console)
    assert "half of the rows cost at most this, estimate $" in console.export_text()
    [record] = sorted(desk.workspace.runs.glob("*.json"))[-1:]
    assert RunRecord.load(record.read_bytes()).summary.rows_pico == summary.rows_pico


async def test_what_second_tries_and_lost_replies_cost_is_in_the_next_estimate(tmp_path: Path, key: str) -> None:
    """One reply in five is lost and booked at worst case: several times what the row would have cost."""
    settings = EmulatorSettings(log_path=tmp_path / "bill.jsonl", misbehaviour={Misbehaviour.RESET_LATE: 0.2})
    async with Emulator(settings) as emulator:
        desk = Desk(tmp_path, emulator)
        desk.write(desk.texts(300))
        calm = await estimate_job(desk.job())
        found = await estimate_job(desk.job(), EstimateOptions(calibrate=100))
        summary = await run_job(desk.job())
    assert found.cost is not None
    assert calm.cost is not None
    assert found.surplus > 1.1
    assert found.cost.low_pico <= summary.cost_pico <= found.cost.high_pico
    assert "second tries" in _rendered(found)


async def test_an_estimate_of_other_work_is_not_held_against_a_run(desk: Desk) -> None:
    desk.write(desk.texts(10))
    await estimate_job(desk.job())
    desk.write(desk.texts(20))
    assert (await run_job(desk.job())).estimate is None
    desk.write(desk.texts(30))
    await estimate_job(desk.job())
    assert (await run_job(desk.job(), RunOptions(limit=25))).estimate is None


async def test_a_run_never_costs_more_than_the_worst_case(desk: Desk) -> None:
    desk.write(desk.texts(60))
    found = await estimate_job(desk.job())
    summary = await run_job(desk.job())
    assert found.cost is not None
    assert summary.cost_pico <= found.cost.worst_pico


async def test_there_is_a_line_for_each_row_and_their_costs_add_up(desk: Desk) -> None:
    texts = desk.texts(45)
    desk.write(texts)
    await run_job(desk.job(), RunOptions(limit=20))
    texts["text"][44] = texts["text"][43]
    texts["text"][42] = ""
    desk.write(texts)
    found = await estimate_job(desk.job())
    lines = desk.lines()
    assert sorted(line["position"] for line in lines) == list(range(45))
    assert {line["id"] for line in lines} == set(texts["id"])
    states = {line["id"]: line["state"] for line in lines}
    assert (states["r0"], states["r30"], states["r44"], states["r42"]) == ("kept", "todo", "equal", "failing")
    assert {line["error_kind"] for line in lines} == {None, "bad_row"}
    assert found.cost is not None
    expected = sum(line["expected_cost_usd"] or 0 for line in lines)
    rounding = Decimal(found.rows.todo) * Decimal("0.00000004")
    assert abs(expected - Decimal(found.cost.expected_pico).scaleb(-12)) <= rounding
    assert sum(line["worst_cost_usd"] or 0 for line in lines) == Decimal(found.cost.worst_pico).scaleb(-12)


async def test_with_a_limit_the_rows_beyond_it_are_not_counted(desk: Desk) -> None:
    desk.write(desk.texts(50))
    assert (await estimate_job(desk.job(), EstimateOptions(limit=7))).rows == Rows(todo=7)
    assert sum(line["state"] == "not_asked" for line in desk.lines()) == 43


async def test_without_a_price_the_cost_is_null_and_that_is_said(desk: Desk) -> None:
    desk.write(desk.texts(5))
    job = desk.job(model={"endpoint": "http://127.0.0.1:9/v1"})
    found = await estimate_job(job)
    assert found.to_json()["cost_usd"] is None
    assert found.tokens.prompt > 0
    assert any("NO PRICE" in notice for notice in found.notices)
    assert any("cannot be reached" in notice for notice in found.notices)
    with pytest.raises(EstimateAboveError, match="no price is known"):
        refuse_above(found, Decimal(1))
    assert "UNKNOWN PRICE" in _rendered(found)


async def test_the_jobs_own_price_needs_no_endpoint(desk: Desk) -> None:
    desk.write(desk.texts(5))
    price = {"prompt": "0.000001", "completion": "0.000002"}
    found = await estimate_job(desk.job(model={"endpoint": "http://127.0.0.1:9/v1", "price": price}))
    assert found.cost is not None
    assert found.cost.expected_pico == found.tokens.prompt * 10**6 + found.tokens.completion * 2 * 10**6


async def test_rows_that_are_billed_otherwise_than_listed_are_told_and_foreseen(desk: Desk) -> None:
    """The job names half of what the endpoint asks: as when a price doubles after the look-up."""
    desk.write(desk.texts(60))
    job = desk.job(model={"price": {"prompt": "0.00000001", "completion": "0.00000002"}})
    summary = await run_job(job)
    [notice] = [one for one in summary.notices if "THE PRICE DIFFERS" in one]
    assert "60 answers were billed" in notice
    assert "100 % more" in notice
    rows = pq.read_table(desk.folder / "out").to_pylist()
    for row in rows:
        assert row["cost_usd"] == (row["prompt_tokens"] + 2 * row["completion_tokens"]) * Decimal("0.00000002")
    assert {row["cost_source"] for row in rows} == {"endpoint"}
    noted = pq.read_table(desk.folder / "out.parquill" / "drift").to_pylist()
    assert {one["fingerprint"]: one["cost_usd"] for one in noted} == {
        row["fingerprint"]: row["cost_usd"] for row in rows
    }
    assert all(one["cost_usd"] == 2 * one["listed_usd"] for one in noted)
    desk.write(desk.texts(100))
    found = await estimate_job(job)
    assert found.surplus == pytest.approx(2, rel=0.05)


async def test_rows_billed_as_listed_are_not_worth_a_word(desk: Desk) -> None:
    desk.write(desk.texts(20))
    summary = await run_job(desk.job())
    assert not any("DIFFERS" in one for one in summary.notices)
    assert not (desk.folder / "out.parquill" / "drift").exists()
    found = await estimate_job(desk.job())
    assert found.surplus == 1


async def test_a_price_above_the_sum_is_refused(desk: Desk) -> None:
    desk.write(desk.texts(50))
    found = await estimate_job(desk.job())
    assert found.cost is not None
    high = Decimal(found.cost.high_pico).scaleb(-12)
    refuse_above(found, high)
    with pytest.raises(EstimateAboveError, match="may cost up to"):
        refuse_above(found, high - Decimal("0.000000000001"))


async def test_a_calibration_above_the_sum_sends_nothing(desk: Desk) -> None:
    desk.write(desk.texts(50))
    with pytest.raises(EstimateAboveError, match="10 rows of --calibrate"):
        await estimate_job(desk.job(), EstimateOptions(calibrate=10, max_usd=Decimal("0.000001")))
    assert desk.sent() == 0


async def test_costs_are_summed_for_each_value_of_a_column(desk: Desk) -> None:
    desk.write(desk.texts(6) | {"brand": ["Ada", "Bo", "Ada", None, "Ada", "Bo"]})
    found = await estimate_job(desk.job(), EstimateOptions(by="brand"))
    assert {one.value: one.rows for one in found.groups} == {"Ada": 3, "Bo": 2, "(null)": 1}
    assert found.cost is not None
    assert abs(sum(one.expected_pico or 0 for one in found.groups) - found.cost.expected_pico) < 10**6
    assert [one["value"] for one in found.to_json()["by"]["brand"]] == ["Ada", "Bo", "(null)"]
    with pytest.raises(JobError, match="no such column"):
        await estimate_job(desk.job(), EstimateOptions(by="brnd"))


async def test_the_same_work_is_reckoned_at_other_prices(desk: Desk) -> None:
    desk.write(desk.texts(6))
    found = await estimate_job(desk.job(), EstimateOptions(compare=True))
    costs = [row.cost_pico for row in found.comparison]
    assert len(costs) >= 5
    assert costs == sorted(costs)
    assert "other prices" in _rendered(found)


async def test_dead_pictures_are_found_where_that_is_asked_for(desk: Desk) -> None:
    desk.write(desk.texts(2) | {"picture": ["gone.png", None]})
    job = desk.job(manifest={"image_columns": ["picture"]})
    assert (await estimate_job(job)).rows == Rows(todo=2)
    found = await estimate_job(job, EstimateOptions(check_images=True))
    assert found.rows == Rows(todo=1, failing=1)
    assert set(found.failing_by_kind) <= {"image_unreachable", "image_invalid"}


@pytest.mark.parametrize("send", ["pages", "text"])
async def test_documents_are_opened_and_count_as_they_are_sent(desk: Desk, send: str) -> None:
    papers = [pdf(["One page"]), None, pdf(["A word", "Another"]), b"%PDF-1.7 broken", pdf(["Once more"])]
    desk.write({"id": list("abcde"), "text": ["Say yes."] * 5, "paper": papers})
    job = desk.job(manifest={"document_columns": ["paper"]}, documents={"send": send}, model={"max_tokens": 20})
    found = await estimate_job(job)
    assert (found.rows, found.failing_by_kind) == (Rows(todo=4, failing=1), {"document_invalid": 1})
    lines = desk.lines()
    assert [line["images"] for line in lines] == ([1, 0, 2, None, 1] if send == "pages" else [0, 0, 0, None, 0])
    await run_job(job)
    told = {line["id"]: line["prompt_tokens"] for line in lines if line["state"] == "todo"}
    rows = [row for row in pq.read_table(desk.folder / "out").to_pylist() if row["attempts"]]
    assert told == pytest.approx({row["id"]: row["prompt_tokens"] // row["attempts"] for row in rows}, abs=2)


async def test_the_time_is_that_of_the_tightest_limit(desk: Desk) -> None:
    desk.write(desk.texts(50))
    clock = ManualClock()
    found = await estimate_job(desk.job(limits={"requests_per_minute": 10, "tokens_per_minute": 10**9}), clock=clock)
    assert found.seconds == 300
    assert "10 requests a minute" in found.pace
    assert found.ends_at is not None
    assert found.ends_at.timestamp() == clock.wall() + 300


async def test_without_limits_the_time_is_that_of_the_last_run(desk: Desk) -> None:
    desk.write(desk.texts(50))
    assert (await estimate_job(desk.job())).seconds is None
    desk.write(desk.texts(120))
    summary = await run_job(desk.job())
    desk.write(desk.texts(180))
    found = await estimate_job(desk.job())
    assert found.seconds == pytest.approx(60 * summary.seconds / summary.requests, rel=0.01)


async def test_json_has_the_documented_keys_and_money_in_strings(desk: Desk) -> None:
    desk.write(desk.texts(5))
    told = json.loads(json.dumps((await estimate_job(desk.job())).to_json()))
    assert set(told["rows"]) == {"todo", "kept", "equal", "failing"}
    assert set(told["tokens"]) == {"prompt", "completion"}
    assert set(told["cost_usd"]) == {"expected", "low", "high", "worst"}
    assert all(isinstance(value, str) for value in told["cost_usd"].values())
    assert "seconds" in told


async def test_the_table_for_people_says_rows_cost_and_interval(desk: Desk) -> None:
    desk.write({"id": ["a", "b", "c"], "text": ["Say yes.", None, "Say yes."]})
    shown = _rendered(await estimate_job(desk.job()))
    for words in ("1 row to send", "95 of 100", "at worst", "bad_row", "Nothing was sent"):
        assert words in shown


async def test_what_runs_learned_stays_with_the_output(desk: Desk) -> None:
    desk.write(desk.texts(40))
    await run_job(desk.job())
    desk.write(desk.texts(60))
    found = await estimate_job(desk.job())
    assert (found.usage_records, found.answer_source) == (40, "answers")
    other = await estimate_job(desk.job(model={"temperature": 0.5}))
    assert (other.usage_records, other.answer_source) == (0, "limit"), "another way of asking begins anew"
    (desk.workspace.folder / "learned.json").write_text("{")
    found = await estimate_job(desk.job())
    assert (found.usage_records, found.answer_source) == (0, "answers"), "lengths stand in the output itself"


def _half_width(found: Estimate) -> float:
    assert found.cost is not None
    return (found.cost.high_pico - found.cost.low_pico) / found.cost.expected_pico / 2


def _rendered(found: Estimate) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    render_estimate(found, console)
    return console.export_text()
