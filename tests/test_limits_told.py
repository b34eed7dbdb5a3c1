"""What the gate tells of itself, and that it ends a run whose endpoint answers nothing."""

from __future__ import annotations

import asyncio

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Binding, Gate, GateClosed, Need, Outcome, Reply
from tests.clock import ManualClock, settle
from tests.test_limits_gate import OK, send


async def test_rows_that_wait_for_money_alone_are_held_by_the_budget() -> None:
    gate = Gate(LimitSettings(), Budget(cap_pico=20), ManualClock())
    first, second = await send(gate), await send(gate)
    waiting = asyncio.create_task(send(gate, Need(1, 15, 1)))
    await settle()
    gate.settle(first, cost_pico=10, tokens=1, reply=OK)
    await settle()
    assert not waiting.done()
    statistics = gate.statistics()
    assert (statistics.binding, statistics.waiting_for_budget) == (Binding.BUDGET, 1)
    assert statistics.binding_since is not None
    gate.settle(second, cost_pico=0, tokens=1, reply=OK)
    with pytest.raises(GateClosed):
        await waiting
    assert (gate.statistics().binding, gate.statistics().binding_since) == (None, None)


async def test_nothing_is_held_once_the_money_came_free() -> None:
    gate = Gate(LimitSettings(), Budget(cap_pico=20), ManualClock())
    first, second = await send(gate), await send(gate)
    waiting = [asyncio.create_task(send(gate)) for _ in range(2)]
    await settle()
    gate.settle(first, cost_pico=10, tokens=1, reply=OK)
    assert gate.statistics().binding is Binding.BUDGET
    gate.settle(second, cost_pico=0, tokens=1, reply=OK)
    await settle()
    assert [task.done() for task in waiting] == [True, False]
    gate.settle(await waiting[0], cost_pico=0, tokens=1, reply=OK)
    await settle()
    assert gate.statistics().binding is None
    gate.settle(await waiting[1], cost_pico=0, tokens=1, reply=OK)


@pytest.mark.parametrize("wait", [None, 5.0])
@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.SERVER_FAULT])
async def test_it_is_told_whether_the_endpoint_asked_to_wait(outcome: Outcome, wait: float | None) -> None:
    gate = Gate(LimitSettings(), Budget(), ManualClock(monotonic=50.0))
    gate.settle(await send(gate), cost_pico=0, tokens=None, reply=Reply(outcome, wait=wait, words="gone"))
    statistics = gate.statistics()
    assert (statistics.asked_to_wait, statistics.last_fault) == (wait is not None, "gone")
    assert statistics.unanswered_since == 50.0


async def test_a_run_ends_when_its_time_without_an_answer_is_over_though_no_reply_comes() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1), Budget(), clock, give_up=30.0)
    gate.settle(await send(gate), cost_pico=0, tokens=None, reply=Reply(Outcome.SERVER_FAULT, words="gone"))
    held = await send(gate)
    waiting = asyncio.create_task(send(gate))
    await clock.advance(29.0)
    assert not waiting.done()
    assert gate.statistics().stop is None
    await clock.advance(2.0)
    with pytest.raises(GateClosed, match=r"nothing was answered for 30 s .*gone") as closed:
        await waiting
    assert closed.value.stop is Stop.UNREACHABLE
    gate.release(held)
    assert gate.statistics().reserved_pico == 0


async def test_an_answer_begins_the_time_without_one_anew() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1), Budget(), clock, give_up=30.0)
    for _ in range(3):
        gate.settle(await send(gate), cost_pico=0, tokens=None, reply=Reply(Outcome.SERVER_FAULT))
        await clock.advance(20.0)
        gate.settle(await send(gate), cost_pico=0, tokens=1, reply=OK)
        await clock.advance(20.0)
    assert gate.statistics().stop is None
    assert gate.statistics().unanswered_since is None


async def test_new_rows_stay_behind_one_that_is_too_large_for_long() -> None:
    clock = ManualClock(jumps=())
    gate = Gate(LimitSettings(tokens_per_minute=60_000), Budget(), clock)
    gate.settle(await send(gate, Need(45_000, 0, 0)), cost_pico=0, tokens=45_000, reply=OK)
    await clock.advance(46.0)
    large = asyncio.create_task(send(gate, Need(30_000, 0, 0)))
    await clock.advance(3.0)
    small = asyncio.create_task(send(gate, Need(100, 0, 0)))
    await clock.advance(3.0)
    assert (large.done(), small.done()) == (False, False)
    await clock.advance(60.0)
    assert (large.done(), small.done()) == (True, True)


async def test_retries_come_before_new_rows_where_both_wait_for_money() -> None:
    gate = Gate(LimitSettings(), Budget(cap_pico=10), ManualClock())
    first, order = await send(gate), []

    async def wait(name: str, *, retry: bool) -> None:
        ticket = await send(gate, retry=retry)
        order.append(name)
        gate.settle(ticket, cost_pico=0, tokens=1, reply=OK)

    async with asyncio.TaskGroup() as group:
        for name, retry in (("new 1", False), ("new 2", False), ("retry 1", True), ("retry 2", True)):
            group.create_task(wait(name, retry=retry))
        await settle()
        gate.settle(first, cost_pico=0, tokens=1, reply=OK)
    assert order == ["retry 1", "retry 2", "new 1", "new 2"]


@pytest.mark.parametrize("cap", [{"cap_pico": 25}, {"cap_tokens": 500}])
async def test_what_a_cancelled_request_held_is_free_for_another(cap: dict[str, int]) -> None:
    clock = ManualClock(jumps=())
    limits = LimitSettings(requests_per_minute=600, tokens_per_minute=60_000, requests_per_day=3)
    gate = Gate(limits, Budget(**cap), clock, day_used=1)
    for _ in range(20):
        gate.release(await send(gate))
    statistics = gate.statistics()
    assert (statistics.day_used, statistics.requests_last_minute, statistics.tokens_last_minute) == (1, 0, 0)
    assert (statistics.in_flight, statistics.sent, statistics.reserved_pico, statistics.reserved_tokens) == (0, 0, 0, 0)
    for _ in range(2):
        started = asyncio.create_task(send(gate))
        await clock.advance(1.0)
        gate.settle(await started, cost_pico=1, tokens=90, reply=OK)
    assert gate.statistics().day_used == 3
