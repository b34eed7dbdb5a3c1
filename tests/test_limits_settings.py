"""Limits that cannot be meant are refused by name, before anything is sent."""

from __future__ import annotations

import pytest

from parquill.errors import JobError
from parquill.job import load_job

JOB = {
    "name": "captions",
    "manifest": {"path": "in.parquet"},
    "prompt": {"user": "Describe {{ title }}."},
    "output": {"path": "out"},
}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("limits.requests_per_minute=0", "limits.requests_per_minute"),
        ("limits.requests_per_minute=-5", "limits.requests_per_minute"),
        ("limits.tokens_per_minute=true", "limits.tokens_per_minute"),
        ("limits.requests_per_day=1000000000000000", "limits.requests_per_day"),
        ("limits.max_in_flight=0", "limits.max_in_flight"),
        ("limits.max_in_flight=1000000", "limits.max_in_flight"),
        ("limits.max_in_flight=fast", "limits.max_in_flight"),
        ("budget.usd=0", "budget.usd"),
        ("budget.usd=-1", "budget.usd"),
        ("budget.tokens=0", "budget.tokens"),
    ],
)
def test_zero_negative_and_absurd_limits_are_refused_by_name(override: str, said: str) -> None:
    with pytest.raises(JobError, match=said):
        load_job(JOB, [override])


def test_fewer_tokens_than_requests_a_minute_are_taken_for_a_swap() -> None:
    with pytest.raises(JobError, match=r"tokens_per_minute .100. is less than requests_per_minute .1000.") as refused:
        load_job(JOB, ["limits.tokens_per_minute=100", "limits.requests_per_minute=1000"])
    assert "swapped" in str(refused.value)
