"""The gate as its callers see it: what waits, what goes on, what is given back."""

from __future__ import annotations

import asyncio

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, GateClosed, Need, Outcome, Reply, Ticket
from tests.clock import ManualClock, settle

OK = Reply(Outcome.OK)
NEED = Need(tokens=100, worst_pico=10, worst_tokens=200)


async def send(gate: Gate, need: Need = NEED, *, retry: bool = False) -> Ticket:
    ticket = await gate.reserve(need, retry=retry)
    await gate.admit(ticket)
    return ticket


async def test_a_free_gate_lets_through_without_suspending() -> None:
    gate = Gate(LimitSettings(requests_per_minute=60), Budget(cap_pico=100), ManualClock())
    walk = send(gate)
    with pytest.raises(StopIteration) as done:
        walk.send(None)
    ticket = done.value.value
    gate.settle(ticket, cost_pico=4, tokens=90, reply=OK)
    statistics = gate.statistics()
    assert (statistics.in_flight, statistics.spent_pico, statistics.reserved_pico) == (0, 4, 0)


async def test_the_pace_spreads_requests_over_the_minute() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(requests_per_minute=60), Budget(), clock)
    waiting = [asyncio.create_task(send(gate)) for _ in range(5)]
    await clock.advance(3.5)
    assert sum(task.done() for task in waiting) == 4
    await clock.advance(1)
    assert all(task.done() for task in waiting)


async def test_closing_sends_everybody_home_at_once_and_gives_the_money_back() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1), Budget(cap_pico=100), clock)
    held = await send(gate)
    waiting = [asyncio.create_task(send(gate)) for _ in range(3)]
    await settle()
    gate.close(Stop.SIGINT, "interrupted")
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, GateClosed) and result.stop is Stop.SIGINT for result in results)
    gate.settle(held, cost_pico=10, tokens=None, reply=OK)
    assert gate.statistics().reserved_pico == 0
    with pytest.raises(GateClosed, match="interrupted"):
        await gate.reserve(NEED)


async def test_the_budget_waits_for_what_may_settle_lower_then_stops_the_run() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(), Budget(cap_pico=15), clock)
    first = await send(gate)
    second = asyncio.create_task(send(gate))
    third = asyncio.create_task(send(gate))
    await settle()
    assert not second.done()
    gate.settle(first, cost_pico=5, tokens=None, reply=OK)
    gate.settle(await second, cost_pico=6, tokens=None, reply=OK)
    with pytest.raises(GateClosed, match=r"cap .*spent .*reserved .*worst case") as closed:
        await third
    assert closed.value.stop is Stop.BUDGET


async def test_a_cancelled_waiter_gives_everything_back() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1), Budget(cap_pico=100), clock)
    held = await send(gate)
    waiting = asyncio.create_task(send(gate))
    await settle()
    waiting.cancel()
    await settle()
    gate.release(held)
    gate.release(held)
    statistics = gate.statistics()
    assert (statistics.in_flight, statistics.reserved_pico, statistics.waiting, statistics.sent) == (0, 0, 0, 0)
