"""Many gates, each with its share, on one clock: together they keep the whole's rate, and use it."""

from __future__ import annotations

import asyncio

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, GateClosed, HeaderLimit, Need, Outcome, Reply, Told
from parquill.portions.quotas import Available, divide_quotas
from tests.clock import ManualClock
from tests.portions.windows import most_in_a_minute

NEED = Need(tokens=10, worst_pico=5, worst_tokens=20)


async def keep_sending(gate: Gate, clock: ManualClock, sent: list[float], told: int | None = None) -> None:
    """A queue that is never empty; `told`: the limit of requests that each answer names."""
    try:
        while True:
            ticket = await gate.reserve(NEED)
            await gate.admit(ticket)
            sent.append(clock.monotonic())
            used = sum(at > clock.monotonic() - 60 for at in sent)
            said = None if told is None else Told(HeaderLimit(told, used), None)
            gate.settle(ticket, cost_pico=5, tokens=10, reply=Reply(Outcome.OK, told=said))
    except GateClosed:
        return


@pytest.mark.parametrize("processes", [2, 3, 7, 16, 64])
async def test_shares_of_a_rate_together_keep_every_window_and_fill_it(processes: int) -> None:
    clock, rate = ManualClock(), 640
    free = Available(rate, None, None, "auto", pico=None, tokens=None)
    gates = [Gate(share.limits, Budget(), clock) for share in divide_quotas(free, processes)]
    sent: list[float] = []
    senders = [asyncio.create_task(keep_sending(gate, clock, sent)) for gate in gates]
    for _ in range(240):
        await clock.advance(0.5)
    for gate in gates:
        gate.close(Stop.SIGTERM, "enough")
    await asyncio.gather(*senders)
    assert most_in_a_minute(sent) <= rate
    assert len(sent) >= 0.97 * 2 * rate


@pytest.mark.parametrize("processes", [2, 7, 16])
async def test_a_rate_that_the_endpoint_tells_each_process_is_kept_by_all_together(processes: int) -> None:
    clock, rate = ManualClock(), 640
    gates = [Gate(LimitSettings(), Budget(), clock, sharers=processes) for _ in range(processes)]
    sent: list[float] = []
    senders = [asyncio.create_task(keep_sending(gate, clock, sent, told=rate)) for gate in gates]
    for _ in range(240):
        await clock.advance(0.5)
    for gate in gates:
        gate.close(Stop.SIGTERM, "enough")
    await asyncio.gather(*senders)
    assert most_in_a_minute(sent) <= rate
    assert len(sent) >= 0.95 * 2 * rate - rate / 10


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
    shares = divide_quotas(Available(None, None, None, "auto", pico=cap, tokens=None), processes)
    gates = [Gate(share.limits, Budget.from_settings(share.budget), clock) for share in shares]
    sent: list[float] = []
    await asyncio.gather(*(keep_sending(gate, clock, sent) for gate in gates))
    assert 5 * len(sent) <= cap
    assert 5 * len(sent) >= cap - 5 * processes
