"""The gate as its callers see it: what waits, what goes on, what is given back."""

from __future__ import annotations

import asyncio

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, GateClosed, Need, Outcome, Reply, Scope, Ticket
from parquill.limits.state import FIRST_SLOTS
from tests.clock import ManualClock, settle

pytestmark = pytest.mark.usefixtures("jumping")

OK = Reply(Outcome.OK)
NEED = Need(tokens=100, worst_pico=10, worst_tokens=200)


async def send(gate: Gate, need: Need = NEED, *, retry: bool = False) -> Ticket:
    ticket = await gate.reserve(need, retry=retry)
    await gate.admit(ticket)
    return ticket


async def test_a_free_gate_lets_through_without_suspending() -> None:
    gate = Gate(LimitSettings(requests_per_minute=60), Budget(cap_pico=100), ManualClock())
    coroutine = send(gate)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
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


WALL = 1_790_035_200.0  # 2026-09-22 00:00 UTC


async def test_first_come_first_served_and_retries_before_new_rows() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1), Budget(), clock)
    held, order = await send(gate), []

    async def wait(name: str, *, retry: bool = False) -> None:
        ticket = await send(gate, retry=retry)
        order.append(name)
        gate.settle(ticket, cost_pico=0, tokens=1, reply=OK)

    async with asyncio.TaskGroup() as group:
        for name in ("new 1", "new 2"):
            group.create_task(wait(name))
        await settle()
        for name in ("retry 1", "retry 2"):
            group.create_task(wait(name, retry=True))
        await settle()
        gate.settle(held, cost_pico=0, tokens=1, reply=OK)
    assert order == ["retry 1", "retry 2", "new 1", "new 2"]


async def test_a_large_request_is_overtaken_for_two_seconds_then_it_blocks() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(tokens_per_minute=60_000), Budget(), clock)
    gate.settle(await send(gate, Need(45_000, 0, 0)), cost_pico=0, tokens=45_000, reply=OK)
    await clock.advance(46.0)  # the pace is paid for; the window is not
    large = asyncio.create_task(send(gate, Need(30_000, 0, 0)))
    await settle()
    small = [asyncio.create_task(send(gate, Need(100, 0, 0))) for _ in range(100)]
    await clock.advance(1.5)
    overtook = sum(task.done() for task in small)
    assert overtook > 0
    assert not large.done()
    await clock.advance(1.0)
    blocked_at = sum(task.done() for task in small)
    await clock.advance(5.0)
    assert sum(task.done() for task in small) == blocked_at
    await clock.advance(60.0)
    assert large.done()
    await asyncio.gather(*small)


async def test_at_the_daily_limit_the_run_stops_and_says_when_it_resets() -> None:
    gate = Gate(LimitSettings(requests_per_day=3), Budget(cap_pico=100), ManualClock(wall=WALL, jumps=()), day_used=2)
    gate.settle(await send(gate), cost_pico=1, tokens=1, reply=OK)
    assert gate.statistics().day_used == 3
    with pytest.raises(GateClosed, match="2026-09-23 00:00 UTC") as closed:
        await send(gate)
    assert closed.value.stop is Stop.DAILY_LIMIT
    assert gate.statistics().reserved_pico == 0


async def test_told_to_wait_it_sleeps_until_the_utc_day_turns() -> None:
    clock = ManualClock(wall=WALL + 86_400 - 100, jumps=())
    gate = Gate(LimitSettings(requests_per_day=1, wait=True), Budget(), clock)
    gate.settle(await send(gate), cost_pico=1, tokens=1, reply=OK)
    waiting = asyncio.create_task(send(gate))
    await clock.advance(99)
    assert not waiting.done()
    assert gate.statistics().binding == "requests_per_day"
    await clock.advance(2)
    assert waiting.done()
    assert gate.statistics().day_used == 1


@pytest.mark.parametrize("waits", [False, True])
async def test_a_429_for_the_day_does_the_same_as_a_told_daily_limit(waits: bool) -> None:
    clock = ManualClock(wall=WALL, jumps=())
    gate = Gate(LimitSettings(wait=waits), Budget(), clock)
    ticket = await send(gate)
    reply = Reply(Outcome.THROTTLED, wait=7200.0, scope=Scope.DAILY)
    gate.settle(ticket, cost_pico=0, tokens=0, reply=reply)
    waiting = asyncio.create_task(send(gate))
    await clock.advance(7100)
    if waits:
        assert not waiting.done()
        await clock.advance(200)
        assert waiting.done()
    else:
        with pytest.raises(GateClosed, match="02:00 UTC"):
            await waiting


async def test_a_budget_for_each_day_waits_for_midnight_when_told_to() -> None:
    clock = ManualClock(wall=WALL + 86_400 - 100, jumps=())
    gate = Gate(LimitSettings(wait=True), Budget(cap_pico=10, per="day"), clock)
    gate.settle(await send(gate), cost_pico=10, tokens=1, reply=OK)
    waiting = asyncio.create_task(send(gate))
    await clock.advance(99)
    assert not waiting.done()
    await clock.advance(2)
    assert waiting.done()


async def test_retry_after_closes_the_whole_gate_and_a_ramp_follows() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=100), Budget(), clock)
    refused = await send(gate)
    gate.settle(refused, cost_pico=0, tokens=0, reply=Reply(Outcome.THROTTLED, wait=10.0))
    waiting = [asyncio.create_task(send(gate)) for _ in range(80)]
    assert gate.shut
    await clock.advance(9.9)
    assert sum(task.done() for task in waiting) == 0
    assert gate.statistics().binding == "pause"
    await clock.advance(0.2)
    assert sum(task.done() for task in waiting) == 1  # one tries the way
    await clock.advance(1.5)
    on_the_ramp = sum(task.done() for task in waiting)
    assert 5 < on_the_ramp < 60
    assert not gate.shut
    await clock.advance(2.0)
    assert sum(task.done() for task in waiting) == 80


async def test_a_wait_is_clamped_to_five_minutes() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(), Budget(), clock)
    gate.settle(await send(gate), cost_pico=0, tokens=0, reply=Reply(Outcome.THROTTLED, wait=1e6))
    waiting = asyncio.create_task(send(gate))
    await clock.advance(301)
    assert waiting.done()


async def test_until_the_first_answers_come_few_requests_are_sent_and_then_twice_as_many() -> None:
    gate = Gate(LimitSettings(), Budget(), ManualClock())
    started = [asyncio.create_task(send(gate)) for _ in range(40)]
    await settle()
    first = [task.result() for task in started if task.done()]
    assert len(first) == FIRST_SLOTS
    for ticket in first:
        gate.settle(ticket, cost_pico=0, tokens=10, reply=OK)
    await settle()
    assert gate.statistics().in_flight == 2 * FIRST_SLOTS
    gate.close(Stop.SIGTERM, "enough")
    await asyncio.gather(*started, return_exceptions=True)


async def test_a_refusal_that_names_requests_in_flight_lowers_them_and_no_rate() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=32), Budget(), clock)
    tickets = [await send(gate) for _ in range(20)]
    for _ in range(11):
        gate.settle(tickets.pop(), cost_pico=0, tokens=0, reply=Reply(Outcome.THROTTLED, scope=Scope.CONCURRENCY))
    waiting = asyncio.create_task(send(gate))
    await clock.advance(2.0)
    gate.settle(await waiting, cost_pico=0, tokens=1, reply=OK)
    statistics = gate.statistics()
    assert statistics.in_flight_limit == 9
    assert statistics.requests_per_minute is None


async def test_the_in_flight_402_lowers_concurrency_and_waits() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=32), Budget(), clock)
    tickets = [await send(gate) for _ in range(20)]
    reply = Reply(Outcome.THROTTLED, wait=1.0, scope=Scope.IN_FLIGHT_MONEY)
    gate.settle(tickets.pop(), cost_pico=0, tokens=0, reply=reply)
    waiting = [asyncio.create_task(send(gate)) for _ in range(2)]
    await clock.advance(0.9)
    assert not any(task.done() for task in waiting)
    await clock.advance(5.0)
    statistics = gate.statistics()
    assert waiting[0].done()
    assert statistics.in_flight_limit <= 20
    assert statistics.requests_per_minute is None


async def test_faults_hold_rows_at_the_gate_and_move_no_limit() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(), Budget(), clock)
    limit = gate.statistics().in_flight_limit
    for outcome in (Outcome.SERVER_FAULT, Outcome.TIMEOUT, Outcome.CONNECTION) * 2:
        gate.settle(await send(gate), cost_pico=0, tokens=None, reply=Reply(outcome))
    waiting = asyncio.create_task(send(gate))
    await clock.advance(0.9)
    statistics = gate.statistics()
    assert not waiting.done()
    assert (statistics.breaker_open, statistics.binding, statistics.in_flight_limit) == (True, "breaker", limit)
    await clock.advance(0.2)
    gate.settle(await waiting, cost_pico=0, tokens=1, reply=OK)


async def test_a_refusal_of_one_request_does_not_count_as_a_fault() -> None:
    gate = Gate(LimitSettings(), Budget(), ManualClock())
    for _ in range(40):
        gate.settle(await send(gate), cost_pico=0, tokens=0, reply=Reply(Outcome.OTHER))
    assert not gate.statistics().breaker_open


async def test_beyond_their_share_retries_wait_while_new_rows_do_and_no_longer() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1), Budget(), clock)
    held, order = await send(gate), []

    async def wait(name: str) -> None:
        ticket = await send(gate, retry=name == "retry")
        order.append(name)
        gate.settle(ticket, cost_pico=0, tokens=1, reply=OK)

    async with asyncio.TaskGroup() as group:
        for name in ["retry"] * 30 + ["new"] * 5:
            group.create_task(wait(name))
        await settle()
        gate.settle(held, cost_pico=0, tokens=1, reply=OK)
    assert order == ["retry"] * 11 + ["new"] * 5 + ["retry"] * 19


async def test_a_cost_above_its_reservation_closes_the_gate_with_an_alarm() -> None:
    gate = Gate(LimitSettings(), Budget(cap_pico=1000), ManualClock())
    gate.settle(await send(gate), cost_pico=11, tokens=1, reply=OK)
    with pytest.raises(GateClosed, match="a request cost") as closed:
        await gate.reserve(NEED)
    assert closed.value.stop is Stop.COST_ALARM
    assert gate.statistics().spent_pico == 11


async def test_a_worst_case_above_the_whole_cap_stops_the_run_for_its_budget() -> None:
    gate = Gate(LimitSettings(), Budget(cap_pico=5), ManualClock())
    assert gate.fits(NEED) is None
    with pytest.raises(GateClosed) as closed:
        await gate.reserve(NEED)
    assert closed.value.stop is Stop.BUDGET


def test_a_request_that_can_never_pass_the_rate_is_told_in_words() -> None:
    gate = Gate(LimitSettings(tokens_per_minute=1000), Budget(), ManualClock())
    assert gate.fits(Need(1000, 0, 0)) is None
    said = gate.fits(Need(1001, 0, 0))
    assert said is not None
    assert "limits.tokens_per_minute (1000)" in said


async def test_a_ticket_is_admitted_and_settled_once() -> None:
    gate = Gate(LimitSettings(), Budget(cap_pico=100), ManualClock())
    ticket = await send(gate)
    with pytest.raises(RuntimeError):
        await gate.admit(ticket)
    gate.settle(ticket, cost_pico=1, tokens=1, reply=OK)
    with pytest.raises(RuntimeError):
        gate.settle(ticket, cost_pico=1, tokens=1, reply=OK)
    gate.release(ticket)
    assert gate.statistics().spent_pico == 1


async def test_a_request_cancelled_between_reserving_and_admitting_gives_its_money_back() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(requests_per_minute=1), Budget(cap_pico=100), clock)
    gate.settle(await send(gate), cost_pico=1, tokens=1, reply=OK)
    waiting = asyncio.create_task(send(gate))
    await settle()
    assert gate.statistics().reserved_pico == 10
    waiting.cancel()
    await settle()
    assert gate.statistics().reserved_pico == 0
    await clock.advance(120)
    gate.settle(await send(gate), cost_pico=1, tokens=1, reply=OK)


async def test_statistics_tell_what_binds_and_since_when() -> None:
    clock = ManualClock()
    gate = Gate(LimitSettings(max_in_flight=1, requests_per_minute=60), Budget(cap_pico=1000), clock)
    held = await send(gate)
    await clock.advance(2.0)
    waiting = asyncio.create_task(send(gate, retry=True))
    await clock.advance(3.0)
    statistics = gate.statistics()
    assert (statistics.binding, statistics.binding_since) == ("max_in_flight", 2.0)
    assert (statistics.waiting, statistics.waiting_retries, statistics.in_flight) == (1, 1, 1)
    assert (statistics.free_pico, statistics.requests_last_minute) == (980, 1)
    gate.settle(held, cost_pico=10, tokens=1, reply=OK)
    await waiting
    assert gate.statistics().binding is None
