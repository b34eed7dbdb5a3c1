"""Whole runs against an endpoint with odd replies: what is kept, how often is asked, what is booked."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from parquill.doctor import Health, examine
from parquill.errors import Stop
from parquill.ledger import Ledger
from parquill.running import run_job
from parquill.verification import verify_job
from tests.e2e.odd import COMPLETION_PICO, PROMPT_PICO, completion, odd_endpoint, odd_job, output

LISTED = 20 * PROMPT_PICO + 5 * COMPLETION_PICO


def own_key(upstream_pico: int, fee_pico: int = 0) -> dict[str, Any]:
    """Usage as OpenRouter sends it where the provider's key is the user's own."""
    return {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "cost": fee_pico / 1e12,
        "is_byok": True,
        "cost_details": {"upstream_inference_cost": upstream_pico / 1e12},
    }


async def test_a_key_of_the_users_own_is_not_free_and_the_budget_binds_on_the_sum(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion(usage=own_key(600_000, 30_000))) as odd:
        job = odd_job(odd, tmp_path, [f"Row {at}" for at in range(60)], budget={"usd": "0.00001"})
        summary = await run_job(job)
        assert summary.stopped_by is Stop.BUDGET
        assert 630_000 * len(odd.texts) <= 10_000_000
        assert summary.cost_pico == 630_000 * len(odd.texts)
        rows = [row for row in output(tmp_path) if row["attempts"]]
        assert {row["cost_usd"] for row in rows} == {Decimal("0.00000063")}
        assert {row["upstream_cost_usd"] for row in rows} == {Decimal("0.0000006")}
        assert {row["cost_source"] for row in rows} == {"endpoint"}
        assert verify_job(job).holds


async def test_upstream_costs_are_summed_over_attempts_and_runs(tmp_path: Path) -> None:
    def reply(text: str, times: int) -> Any:
        if times == 1:
            return completion(None, usage=own_key(100_000))
        return completion(usage=own_key(600_000)) if text == "b" or times == 3 else completion("", usage=own_key(7))

    async with odd_endpoint(reply) as odd:
        job = odd_job(odd, tmp_path, ["a", "b", "c"], retry={"max_attempts": 2})
        await run_job(job)
        a, b, c = output(tmp_path)
        assert (b["status"], b["attempts"], b["upstream_cost_usd"]) == ("ok", 2, Decimal("0.0000007"))
        assert (
            (a["status"], a["upstream_cost_usd"])
            == (c["status"], Decimal("0.000000100007"))
            == ("failed", a["cost_usd"])
        )
        await run_job(job)  # the failed rows go on with what they have cost
        a, b, c = output(tmp_path)
        assert (a["status"], a["attempts"], a["upstream_cost_usd"]) == ("ok", 3, Decimal("0.000000700007"))
        assert verify_job(job).holds


async def test_an_endpoint_with_no_key_of_the_users_leaves_the_column_empty(tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: completion()) as odd:
        await run_job(odd_job(odd, tmp_path, ["a"]))
    (row,) = output(tmp_path)
    assert (row["upstream_cost_usd"], row["cost_usd"]) == (None, Decimal(LISTED).scaleb(-12))


async def test_thinking_beside_the_completion_is_booked_and_stops_a_run_with_a_cap(
    tmp_path: Path,
) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 1025}
    async with odd_endpoint(lambda *_: completion(usage=usage)) as odd:
        job = odd_job(odd, tmp_path, ["a", "b", "c"], budget={"usd": "1"}, limits={"max_in_flight": 1})
        summary = await run_job(job)
        assert summary.stopped_by is Stop.COST_ALARM
        assert summary.cost_pico == len(odd.texts) * (20 * PROMPT_PICO + 1005 * COMPLETION_PICO)


@pytest.mark.parametrize(
    "body",
    [
        completion(choices=[], usage=...),
        {"id": "gen-1", "status": "queued"},
        completion("a c", "error", usage=...),
        completion(error={"code": 502, "message": "Provider disconnected mid-stream"}, usage=...),
        {"success": True, "result": {"text": "a red boat"}},
    ],
)
async def test_what_may_have_been_billed_keeps_its_worst_case(body: dict[str, Any], tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: body) as odd:
        job = odd_job(odd, tmp_path, ["a"])
        await run_job(job)
        (row,) = output(tmp_path)
        assert (row["status"], row["attempts"], row["cost_source"]) == ("failed", 3, "estimate")
        assert row["cost_usd"].scaleb(12) >= 3 * (PROMPT_PICO + 64 * COMPLETION_PICO)
        assert verify_job(job).holds


async def test_a_refused_request_uses_no_tokens_of_the_budget_in_this_process_or_the_next(tmp_path: Path) -> None:
    def reply(_: str, times: int) -> Any:
        return completion() if times > 2 else web.json_response({"error": {"message": "busy"}}, status=503)

    async with odd_endpoint(reply) as odd:
        job = odd_job(odd, tmp_path, ["a", "b"])
        await run_job(job)
    ledger = Ledger.open(tmp_path / "out.parquill" / "ledger.sqlite", job="odd")
    try:
        spend = await ledger.totals(1)
    finally:
        ledger.close()
    assert (spend.requests, spend.tokens, spend.pico) == (6, 50, 2 * LISTED)
    assert {row["prompt_tokens"] for row in output(tmp_path)} == {20}


async def test_thoughts_alone_are_asked_for_twice_and_their_field_is_named(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "The user wants a caption."}
    body = completion(choices=[{"index": 0, "finish_reason": "stop", "message": message}])
    async with odd_endpoint(lambda *_: body) as odd:
        job = odd_job(odd, tmp_path, ["a", "b", "c"], retry={"max_attempts": 6})
        await run_job(job)
        assert len(odd.texts) == 6
        for row in output(tmp_path):
            assert (row["status"], row["attempts"]) == ("failed", 2)
            assert "message.reasoning_content" in row["error_message"]
        diagnosis = await examine(job)
    assert any(one.health is Health.FAILS and "reasoning_content" in one.text for one in diagnosis.findings)


@pytest.mark.parametrize(
    ("spoilt", "repair"),
    [
        (lambda raw: raw[:-1] + ', "timings": {"speed": NaN}}', "reply:number"),
        (lambda raw: raw.replace("boat", "boat \\ud83d"), "reply:surrogate"),
        (lambda raw: "\ufeff" + raw, "reply:bom"),
        (lambda raw: raw[:-1] + ', "note": "a\nb"}', "reply:control"),
        (lambda raw: raw + "\n\nOK", "reply:trailing"),
        (lambda raw: f"data: {raw}\n\ndata: [DONE]\n\n", "reply:stream"),
        (lambda raw: raw.replace("a red", "<think>hm</think>a red"), "control:<think>"),
    ],
)
async def test_a_good_answer_is_kept_paid_once_and_its_repair_named(spoilt: Any, repair: str, tmp_path: Path) -> None:
    async with odd_endpoint(lambda *_: spoilt(json.dumps(completion()))) as odd:
        await run_job(odd_job(odd, tmp_path, ["a", "b"]))
        assert len(odd.texts) == 2
    for row in output(tmp_path):
        assert (row["status"], row["attempts"], row["answer_repairs"]) == ("ok", 1, [repair])
        assert row["answer"].startswith("a red boat")
        assert row["cost_usd"] == Decimal(LISTED).scaleb(-12)


async def test_cut_and_filtered_answers_are_not_ok_under_any_name_and_an_unknown_reason_is_said(tmp_path: Path) -> None:
    reasons = ["MAX_TOKENS", "model_length", "SAFETY", "abort", "STOP", "odd"]
    async with odd_endpoint(lambda text, _: completion("A red boat lies on the", text)) as odd:
        summary = await run_job(odd_job(odd, tmp_path, reasons, output={"max_reasks": 0}, retry={"max_attempts": 1}))
    rows = dict(zip(reasons, output(tmp_path), strict=True))
    kinds = {reason: row["error_kind"] for reason, row in rows.items()}
    assert kinds == {
        "MAX_TOKENS": "truncated", "model_length": "truncated", "SAFETY": "moderated", "abort": "server_error",
        "STOP": None, "odd": None,
    }  # fmt: skip
    assert {row["finish_reason"] for row in rows.values()} == set(reasons)
    assert {row["answer_text"] for row in rows.values()} == {"A red boat lies on the"}
    assert sum("'odd' is not known" in notice for notice in summary.notices) == 1
