"""How the end of a run is told to Prefect: pure, without an API."""

from __future__ import annotations

import dataclasses
import datetime as dt
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from flows.command import exit_status
from parquill.errors import EndpointRefusedError, JobError, Stop, StorageFaultError
from parquill.estimation import Cost, Estimate, Rows
from parquill.summary import RowCounts, RunSummary, TokenCounts
from parquill.timeline import TimelineSample
from parquill.verification import Finding, Verification
from tasks.cost_chart import as_address, cost_curve
from tasks.figures import estimate_rows, estimate_words, summary_rows
from tasks.progress_artifact import artifact_key
from tasks.states import STATE_NAMES, Night, all_nights, failed, final_state, mismatched, outcome

DAY = dt.date(2026, 11, 23)


def summary(stop: Stop | None = None, **changes: Any) -> RunSummary:
    figures: dict[str, Any] = {
        "job": "captions",
        "run_id": "1",
        "started_at": dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        "rows": RowCounts(total=10, ok=7, failed=1, not_attempted=2 if stop else 0),
        "output": "out/captions",
        "requests": 9,
        "cost_pico": 123_456,
        "errors_by_kind": {"timeout": 1},
        "stopped_by": stop,
        "stop_message": "the budget of $1 has no room" if stop else None,
    }
    return RunSummary(**{**figures, **changes})


def test_every_reason_to_stop_has_its_state() -> None:
    for stop in Stop:
        state = final_state(summary(stop))
        if stop in STATE_NAMES:
            assert (state.is_completed(), state.name) == (True, STATE_NAMES[stop])
        else:
            assert state.is_failed() if stop is Stop.REFUSED else state.is_cancelled()
    assert len(set(STATE_NAMES.values())) == len(STATE_NAMES)


def test_a_finished_run_says_how_many_rows_failed_and_why() -> None:
    assert outcome(summary()) == (
        "7 of 10 rows answered, 1 failed (timeout 1). 9 requests sent, cost $0.00000012."
    )  # fmt: skip


def test_a_stopped_run_says_how_to_go_on() -> None:
    assert outcome(summary(Stop.BUDGET)).endswith(
        "Stopped with 2 rows left: the budget of $1 has no room. Raise budget.usd (or budget.tokens), "
        "or give --fresh-budget, and run the same command again."
    )


def test_words_of_the_endpoint_cannot_steer_a_terminal() -> None:
    text = outcome(summary(Stop.REFUSED, stop_message="no\x1b[2Jsuch\nkey"))
    assert "no such key" in text


def test_a_table_has_money_to_the_last_digit() -> None:
    rows = {row["figure"]: row["value"] for row in summary_rows(summary())}
    assert rows["cost in USD"] == "0.000000123456"
    assert rows["failed: timeout"] == "1"
    assert summary_rows(summary(cost_pico=0, unpriced=3))[9] == {"figure": "cost in USD", "value": "unknown"}


@pytest.mark.parametrize(
    ("outcome_of_flow", "status"),
    [
        (summary(), 0),
        (summary(Stop.BUDGET), 4),
        (final_state(summary(Stop.REFUSED)).data, 5),
        (final_state(summary(Stop.SIGTERM)).data, 143),
        (JobError("x"), 2),
        (EndpointRefusedError("x"), 5),
        (StorageFaultError("x"), 1),
        (mismatched(summary(), Verification({}, (), (), {})).data, 1),
        ((summary(), summary(Stop.DEADLINE)), 4),
    ],
)
def test_a_flow_exits_as_the_run_does_save_for_failed_rows(outcome_of_flow: object, status: int) -> None:
    assert exit_status(outcome_of_flow) == status


def test_an_output_that_does_not_match_is_a_failure_that_says_what() -> None:
    state = mismatched(summary(), Verification({}, (Finding("missing row", 3),), (), {}))
    assert state.is_failed()
    assert "missing row 3" in (state.message or "")


def test_several_nights_end_as_the_worst_of_them() -> None:
    good, stopped = Night(DAY, final_state(summary())), Night(DAY, final_state(summary(Stop.BUDGET)))
    bad = Night(DAY, failed(JobError("no such file")))
    assert all_nights([good]) is good.state
    assert all_nights([good, stopped, good]).name == "StoppedByBudget"
    assert all_nights([good, bad, stopped]).is_failed()
    assert all_nights([good, bad]).message == f"2026-11-23: {good.state.message}\n2026-11-23: no such file"


def test_nights_that_were_not_begun_are_named() -> None:
    late = Night(DAY, final_state(summary(Stop.DEADLINE)))
    assert late.ends_all
    state = all_nights([late], missed=[dt.date(2026, 11, 24)])
    assert state.name == "StoppedByDeadline"
    assert (state.message or "").endswith("2026-11-24: not begun")


def test_a_fault_of_our_own_is_told_without_what_it_holds() -> None:
    assert failed(KeyError("content of a row")).message == "a fault of Parquill's own: KeyError"


def test_a_curve_needs_a_line_and_carries_itself() -> None:
    samples = [TimelineSample(t=t, rows=t, cost_pico=t * 10**9, tokens=0, in_flight=1) for t in range(5)]
    curve = cost_curve(samples)
    assert curve is not None
    assert ET.fromstring(curve).find("{http://www.w3.org/2000/svg}polyline") is not None
    assert "$0.004 for 4 rows in 4 s" in curve
    assert as_address(curve).startswith("data:image/svg+xml;base64,")
    assert cost_curve(samples[:1]) is None
    assert cost_curve([TimelineSample(t=t, rows=t, cost_pico=0, tokens=0, in_flight=1) for t in range(3)]) is None


def test_an_estimate_says_what_it_knows() -> None:
    known = {"job": "a", "model": "m", "output": "o", "price": {}, "price_line": "", "answer_tokens": 1.0}
    known |= {"answer_source": "limit", "usage_records": 0, "unanswered": 0, "settings": "", "realm": ""}
    known |= {"images": 0, "surplus": 1.0}
    free = Estimate(**known, rows=Rows(kept=3), tokens=TokenCounts(), cost=None)
    dear = Estimate(**known, rows=Rows(todo=3), tokens=TokenCounts(30, 3), cost=Cost(10**12, 10**11, 10**13, 10**14))
    assert estimate_words(free) == "Nothing is left to ask: it would cost $0.00."
    assert "at an unknown price" in estimate_words(dataclasses.replace(dear, cost=None))
    assert estimate_words(dear) == "3 rows to send to m: about $1.00 ($0.10 to $10.00, at worst $100.00)."
    assert {"figure": "cost", "value": "$1.00", "remark": "expected"} in estimate_rows(dear)


def test_a_key_of_an_artifact_has_small_letters_digits_and_dashes() -> None:
    assert artifact_key("Product_Captions.2", "summary") == "product-captions-2-summary"
