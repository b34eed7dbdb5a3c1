"""What a run did, as values."""

from __future__ import annotations

import datetime as dt
import itertools
import timeit
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.errors import ErrorKind, Stop
from parquill.money import dollars, usd
from parquill.redacted_settings import without_secrets
from parquill.summary import CostRange, RowCounts, RunRecord, RunSummary, Tally, TokenCounts
from parquill.timeline import Timeline, TimelineSample
from tests.lanes import examples


@dataclass(frozen=True, slots=True)
class Row:
    status: str = "ok"
    error_kind: str | None = None
    error_message: str | None = None
    attempts: int = 1
    prompt_tokens: int | None = 300
    completion_tokens: int | None = 40
    cost_pico: int | None = 7_000_000
    cost_source: str | None = "endpoint"


def summary(**changes: object) -> RunSummary:
    values: dict[str, object] = {
        "job": "captions",
        "run_id": "2026-11-22T01-00-00Z",
        "started_at": dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC),
        "rows": RowCounts(10, ok=8, failed=1, not_attempted=1, kept=2, reused=1),
        "output": "out/captions",
    }
    return RunSummary(**(values | changes))  # type: ignore[arg-type] - a test's shorthand


@pytest.mark.parametrize(
    ("pico", "exact"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (31_400_000_000, "0.0314"),
        (10**12, "1"),
        (120 * 10**12, "120"),
        (-5 * 10**11, "-0.5"),
    ],
)
def test_exact_money_is_a_plain_decimal_string(pico: int, exact: str) -> None:
    assert usd(pico) == exact


@given(st.integers(-(10**21), 10**21))
@settings(max_examples=examples(200))
def test_exact_money_loses_nothing(pico: int) -> None:
    assert Decimal(usd(pico)) * 10**12 == pico
    assert "E" not in usd(pico)


@pytest.mark.parametrize(
    ("pico", "shown"),
    [
        (0, "$0.00"),
        (1_234_567_890_000_000, "$1,234.57"),
        (31_416_000_000, "$0.0314"),
        (500_000_000_000, "$0.50"),
        (4_260_000_000, "$0.0043"),
        (12_300, "$0.000000012"),
        (-2 * 10**12, "-$2.00"),
    ],
)
def test_money_for_people_keeps_the_figures_that_count(pico: int, shown: str) -> None:
    assert dollars(pico) == shown


def test_a_tally_counts_rows_requests_tokens_money_and_faults() -> None:
    tally = Tally(6, kept_ok=1, kept_errors={"moderated": 1})
    tally.add(Row())
    tally.add(Row(cost_source="reused", attempts=0, prompt_tokens=None, completion_tokens=None, cost_pico=0))
    tally.add(Row("failed", ErrorKind.TIMEOUT, "no reply", attempts=6, cost_pico=42))
    seen = tally.snapshot()
    assert seen.rows == RowCounts(6, ok=3, failed=2, not_attempted=1, kept=1, reused=1, failed_before=1)
    assert (seen.requests, seen.cost_pico, seen.unpriced) == (7, 7_000_042, 0)
    assert seen.tokens == TokenCounts(600, 80)
    assert seen.errors_by_kind == {"moderated": 1, "timeout": 1}
    assert seen.last_errors == {"timeout": "no reply"}


@given(st.lists(st.sampled_from(["ok", "failed", "not_attempted"]), max_size=30), st.integers(0, 5))
@settings(max_examples=examples(50))
def test_the_three_outcomes_always_sum_up_to_the_total(statuses: list[str], kept: int) -> None:
    tally = Tally(len(statuses) + kept, kept_ok=kept)
    for status in statuses:
        tally.add(Row(status, "timeout" if status == "failed" else None))
    rows = tally.snapshot().rows
    assert rows.ok + rows.failed + rows.not_attempted == rows.total
    assert rows.not_attempted == statuses.count("not_attempted")


def test_a_snapshot_does_not_change_when_the_tally_goes_on() -> None:
    tally = Tally(2)
    before = tally.snapshot()
    tally.add(Row("failed", "timeout"))
    assert before.errors_by_kind == {}
    assert before.rows.failed == 0


def test_adding_a_row_is_cheap() -> None:
    tally, row = Tally(10**6), Row()
    best = min(timeit.repeat(lambda: tally.add(row), number=2_000, repeat=7)) / 2_000
    assert best < 5e-6  # measured at 0.2 us; the margin is for a busy machine


def test_rows_without_a_price_make_the_cost_unknown_and_not_zero() -> None:
    tally = Tally(1)
    tally.add(Row(cost_pico=None, cost_source="unknown"))
    seen = tally.snapshot()
    result = summary(cost_pico=seen.cost_pico, unpriced=seen.unpriced)
    assert result.to_json()["cost_usd"] is None
    assert summary().to_json()["cost_usd"] == "0"


@pytest.mark.parametrize(
    ("stop", "failed", "status"),
    [
        (None, 0, 0),
        (None, 3, 3),
        (Stop.BUDGET, 3, 4),
        (Stop.DISK_FULL, 0, 4),
        (Stop.REFUSED, 3, 5),
        (Stop.SIGINT, 0, 130),
        (Stop.SIGTERM, 1, 143),
    ],
)
def test_the_exit_status_says_how_it_ended(stop: Stop | None, failed: int, status: int) -> None:
    rows = RowCounts(10, ok=10 - failed, failed=failed)
    assert summary(rows=rows, stopped_by=stop).exit_status == status


def test_json_has_the_documented_keys_and_no_others() -> None:
    result = summary(
        cost_pico=1_500_000_000_000, in_doubt_pico=2, tokens=TokenCounts(5, 6), seconds=1.23456, stopped_by=Stop.BUDGET
    )
    assert result.to_json() == {
        "rows": {"total": 10, "ok": 8, "failed": 1, "not_attempted": 1, "kept": 2, "reused": 1},
        "requests": 0,
        "cost_usd": "1.5",
        "in_doubt_usd": "0.000000000002",
        "tokens": {"prompt": 5, "completion": 6},
        "seconds": 1.235,
        "stopped_by": "budget",
    }


def test_a_record_comes_back_as_it_was_written() -> None:
    record = RunRecord(
        summary(
            cost_pico=123_456_789_012_345,
            stopped_by=Stop.DEADLINE,
            stop_message="06:00 is reached",
            errors_by_kind={"timeout": 1},
            estimate=CostRange(5, 4, 6),
            notices=("a", "half a pair: \ud83d"),
        ),
        settings={"name": "captions", "model": {"temperature": 0.0}},
        price={"prompt": "0.00000002", "source": "endpoint"},
        versions={"parquill": "0.1.0"},
        timeline=(TimelineSample(1.0, 5, 10, 20, 3, 8, "in flight"),),
    )
    assert RunRecord.load(record.dump()) == record


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"job": 1}', b"\xff", b"null"])
def test_a_file_that_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        RunRecord.load(raw)


def test_a_record_holds_no_secret() -> None:
    held = {
        "nightly": {"notify": {"webhook": "https://hooks.example/T0/B0/tokentoken"}},
        "manifest": {"path": "s3://AKIA:wJalr@bucket/x.parquet"},
        "output": {"reuse_from": ["https://user:hunter2@host/x", "s3://AKIA:wJ/al+r@bucket/a"]},
        "more": ["az://account@box/x?sv=2026-01-01&sig=c2lnbmVk", "https://toktok@host/v1"],
        "prompt": {"user": "Which is it: https://a.example/x or anna@b.example? key=no, see https://a.example"},
    }
    raw = RunRecord(summary(), settings=held).dump().decode()
    assert not any(secret in raw for secret in ("tokentoken", "wJal", "wJ/al", "hunter2", "AKIA", "c2lnb", "toktok"))
    assert held["prompt"]["user"] in raw
    assert without_secrets({"notify": {"webhook": None}}) == {"notify": {"webhook": None}}


def test_a_long_timeline_is_thinned_and_keeps_its_ends() -> None:
    timeline = Timeline(most=50)
    for second in range(36_000):
        timeline.add(TimelineSample(float(second), second, 0, 0, 1))
    kept = timeline.samples()
    assert 20 <= len(kept) <= 51
    assert (kept[0].t, kept[-1].t) == (0, 35_999)
    gaps = {later.t - earlier.t for earlier, later in itertools.pairwise(kept[:-1])}
    assert max(gaps) <= 2 * min(gaps)
