"""Many gates, each with its share, on one clock: together they keep the whole's rate, and use it."""

from __future__ import annotations

import asyncio

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, GateClosed, Need, Outcome, Reply
from parquill.portions.shares import Free, share_out
from tests.clock import ManualClock
from tests.portions.windows import most_in_a_minute

NEED = Need(tokens=10, worst_pico=5, worst_tokens=20)


async def keep_sending(gate: Gate, clock: ManualClock, sent: list[float]) -> None:
    """A queue that is never empty."""
    try:
        while True:
            ticket = await gate.reserve(NEED)
            await gate.admit(ticket)
            sent.append(clock.monotonic())
            gate.settle(ticket, cost_pico=5, tokens=10, reply=Reply(Outcome.OK))
    except GateClosed:
        return


@pytest.mark.parametrize("processes", [2, 3, 7, 16, 64])
async def test_shares_of_a_rate_together_keep_every_window_and_fill_it(processes: int) -> None:
    clock, rate = ManualClock(), 640
    free = Free(rate, None, None, "auto", pico=None, tokens=None)
    gates = [Gate(share.limits, Budget(), clock) for share in share_out(free, processes)]
    sent: list[float] = []
    senders = [asyncio.create_task(keep_sending(gate, clock, sent)) for gate in gates]
    for _ in range(240):
        await clock.advance(0.5)
    for gate in gates:
        gate.close(Stop.SIGTERM, "enough")
    await asyncio.gather(*senders)
    assert most_in_a_minute(sent) <= rate
    assert len(sent) >= 0.97 * 2 * rate


async def test_a_gate_that_comes_after_others_waits_until_their_minute_is_over() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(requests_per_minute=60), Budget(), clock, crowded=True)
    sent: list[float] = []
    sender = asyncio.create_task(keep_sending(gate, clock, sent))
    await clock.advance(59.9)
    assert sent == []
    await clock.advance(4)
    assert sent
    gate.close(Stop.SIGTERM, "enough")
    await sender


@pytest.mark.parametrize("processes", [2, 5, 64])
async def test_shares_of_a_budget_together_never_pass_it(processes: int) -> None:
    clock, cap = ManualClock(), 1_003
    shares = share_out(Free(None, None, None, "auto", pico=cap, tokens=None), processes)
    gates = [Gate(share.limits, Budget.from_settings(share.budget), clock) for share in shares]
    sent: list[float] = []
    await asyncio.gather(*(keep_sending(gate, clock, sent) for gate in gates))
    assert 5 * len(sent) <= cap
    assert 5 * len(sent) >= cap - 5 * processes
