"""What a gate writes to the log: what changed, once, without words of the endpoint."""

from __future__ import annotations

import logging

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, Need, Outcome, Reply
from tests.clock import ManualClock


async def test_a_gate_logs_refusals_told_limits_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="parquill")
    gate = Gate(LimitSettings(requests_per_minute=600, max_in_flight=8), Budget(), ManualClock(), name="b")
    ticket = await gate.reserve(Need(10, 5, 5))
    await gate.admit(ticket)
    gate.settle(ticket, cost_pico=0, tokens=0, reply=Reply(Outcome.THROTTLED, wait=1.0, words="CANARY"))
    gate.close(Stop.SIGINT, "CANARY")
    gate.close(Stop.SIGINT, "again")
    assert [one.getMessage() for one in caplog.records if one.name == "parquill.limits.gate_log"] == [
        "endpoint b: refused for a limit: 1 refusals so far",
        "endpoint b: no more requests are sent: sigint",
    ]
