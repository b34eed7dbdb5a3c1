"""Whole runs against llama.cpp with real Gemma 3 weights (270M, text)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parquill.clock import SystemClock
from parquill.doctor import Health, examine
from parquill.errors import Stop
from parquill.job import ModelSettings
from parquill.planning import RunOptions
from parquill.planning.preparation import prepare
from parquill.prompts import Asking
from parquill.tokens import TokenCounter
from tests.e2e.kit import ended
from tests.real.conftest import at
from tests.real.software import Server
from tests.real.texts import SCHEMA, tagging_rows

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ROWS = 100
SYSTEM = "You tag short messages: their language, their topic, and whether they are urgent."
EXAMPLES = [
    {"user": "The bus never came.", "answer": {"language": "en", "topic": "travel", "urgent": False}},
    {"user": "J’ai besoin d’un médecin, vite !", "answer": {"language": "fr", "topic": "other", "urgent": True}},
]
"""A pretrained model without instructions copies their form; without them it fills the grammar's white space."""
TAGGING: dict[str, Any] = {
    "prompt": {"user_column": "text", "system": SYSTEM, "examples": EXAMPLES},
    "output": {"schema": SCHEMA},
}


@pytest.mark.timeout(1800)
async def test_a_hundred_rows_in_six_languages_fit_the_schema_within_the_limits(
    llama: Server, tmp_path: Path, tokenizer_json: Path
) -> None:
    per_minute = 60
    work = at(llama, tmp_path, **TAGGING, limits={"max_in_flight": 4, "requests_per_minute": per_minute})
    rows = tagging_rows(ROWS)
    work.write(rows)
    summary = await work.run()
    table = work.table()
    assert summary.exit_status == 0, table.column("error_message").to_pylist()
    assert table.column("text").to_pylist() == rows["text"]
    for text in table.column("answer_text").to_pylist():
        jsonschema.validate(json.loads(text), SCHEMA)
    await work.must_hold()
    _counts_are_exact(prepare(work.job(), SystemClock()).asking, table.to_pylist(), tokenizer_json)
    _costs_are_the_jobs_price(table.to_pylist())
    _no_window_is_too_full(table.to_pylist(), per_minute)


def _counts_are_exact(asking: Asking, rows: list[dict[str, Any]], tokenizer_json: Path) -> None:
    """The server counts what it was sent; an answer's count is not compared, for text may be cut in other tokens."""
    counter = TokenCounter(ModelSettings(tokenizer=str(tokenizer_json)))
    once = [row for row in rows if row["attempts"] == 1]
    assert len(once) >= ROWS * 0.8
    for row in once:
        assert counter.count(asking.request(row["text"], (), None)).expected == row["prompt_tokens"], row["text"]


def _costs_are_the_jobs_price(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        tokens = row["prompt_tokens"] * Decimal("0.0000001") + row["completion_tokens"] * Decimal("0.000001")
        assert (row["cost_usd"], row["cost_source"]) == (tokens, "price")


def _no_window_is_too_full(rows: list[dict[str, Any]], per_minute: int) -> None:
    """Each row's last request; a start is known to within its bookkeeping, so a window is held a second short."""
    starts = sorted(row["finished_at"].timestamp() - row["latency_ms"] / 1000 for row in rows)
    for first in starts:
        assert sum(first <= start < first + 59 for start in starts) <= per_minute


async def test_a_budget_stops_the_run_below_its_cap_and_a_larger_one_goes_on(llama: Server, tmp_path: Path) -> None:
    work = at(llama, tmp_path, **TAGGING, limits={"max_in_flight": 2})
    work.write(tagging_rows(8))
    cap = Decimal("0.0002")
    stopped = await work.run(budget={"usd": str(cap)})
    assert (stopped.exit_status, stopped.stopped_by) == (4, Stop.BUDGET)
    spent = sum(work.column("cost_usd"))
    assert 0 < spent <= cap
    assert 0 < stopped.rows.ok < 8
    finished = await work.run(budget={"usd": "0.01"})
    assert finished.exit_status == 0
    assert finished.rows.kept == stopped.rows.ok
    await work.must_hold(budget={"usd": "0.01"})


async def test_after_kill_9_the_same_command_finishes_and_pays_for_no_answer_twice(
    llama: Server, tmp_path: Path
) -> None:
    work = at(llama, tmp_path, **TAGGING, limits={"max_in_flight": 2})
    work.write(tagging_rows(12))
    process = await work.start("run", "--progress", "json")
    assert process.stderr is not None
    done = 0
    async for line in process.stderr:
        done = json.loads(line)["rows"]["ok"] if line.startswith(b"{") else done
        if done >= 3:
            break
    process.kill()
    await ended(process)
    assert done >= 3
    again = await work.command("run", "--json")
    assert again.status == 0, again.err
    answered = 12 - again.json["requests"]
    assert answered >= 3
    await work.must_hold()
    # An intent is durable before its request has a slot: those that waited for one are in doubt as well.
    assert (await work.spend()).doubts <= 12 - answered


async def test_what_this_server_refuses_is_the_rows_own_fault(llama: Server, tmp_path: Path) -> None:
    work = at(llama, tmp_path, retry={"max_attempts": 2})
    work.write({"id": ["long", "picture", "well"], "text": ["word " * 6000, "What is this?", "Hello"], "img": PICTURES})
    summary = await work.run(manifest={"path": str(work.manifest), "image_columns": ["img"]}, model={"max_tokens": 8})
    assert summary.exit_status == 3
    assert work.column("error_kind")[:2] == ["context_overflow", "image_refused"]
    assert work.column("attempts")[:2] == [1, 1]
    assert work.column("status")[2] in ("ok", "failed")


PICTURES = [
    None,
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==",
    None,
]


async def test_the_doctor_knows_this_server(llama: Server, tmp_path: Path) -> None:
    work = at(llama, tmp_path, **TAGGING)
    work.write(tagging_rows(3))
    diagnosis = await examine(work.job())
    found = {one.subject: one for one in diagnosis.findings}
    assert diagnosis.exit_status == 0
    assert found["answers"].text.startswith("json_schema")
    assert found["context"].text.startswith("4,096 tokens")
    assert found["usage"].health is Health.WORKS
    assert diagnosis.requests == 1


async def test_only_what_is_asked_is_sent(llama: Server, tmp_path: Path) -> None:
    work = at(llama, tmp_path, **TAGGING)
    work.write(tagging_rows(6))
    assert (await work.run(RunOptions(limit=2))).requests == 2
    assert (await work.run(RunOptions(limit=2))).requests == 0
