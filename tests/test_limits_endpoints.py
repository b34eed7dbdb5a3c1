"""Several endpoints behind one choice, in simulated time: who gets which attempt, and what holds for all of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Binding, Gate, GateClosed, Gates, Need, Outcome, Reply, RunGate, Scope, Ticket
from tests.clock import ManualClock, settle
from tests.lanes import examples

OK = Reply(Outcome.OK)
DOWN = Reply(Outcome.CONNECTION, words="connection refused")
NEED = Need(tokens=100, worst_pico=10, worst_tokens=200)


def gates(
    clock: ManualClock,
    *limits: dict[str, Any],
    weights: tuple[float, ...] = (),
    budget: Budget | None = None,
    give_up: float | None = None,
    there: dict[int, bool] | None = None,
) -> Gates:
    made: list[Gate] = []
    budget = budget or Budget()
    for number, one in enumerate(limits):

        async def look(number: int = number) -> bool:
            return (there or {}).get(number, True)

        made.append(
            Gate(
                LimitSettings.model_validate(one),
                budget,
                clock,
                beside=made[0] if made else None,
                name=f"http://{'abc'[number]}",
                give_up=give_up,
                look=look,
            )
        )
    return Gates(made, weights or (1.0,) * len(made))


async def send(gate: RunGate, need: Need = NEED, **how: Any) -> Ticket:
    ticket = await gate.reserve(need, **how)
    await gate.admit(ticket)
    return ticket


@dataclass
class Servers:
    """A queue of rows that never runs dry, and the servers that they go to; those in `down` refuse connections."""

    clock: ManualClock
    gate: RunGate
    seconds: tuple[float, ...]
    down: set[int] = field(default_factory=set)
    sent: list[tuple[float, int]] = field(default_factory=list)
    tried: list[list[int]] = field(default_factory=list)

    async def row(self) -> None:
        ways: list[int] = []
        self.tried.append(ways)
        while True:
            ticket = await send(self.gate, retry=bool(ways), avoid=ways[-1] if ways else None)
            ways.append(ticket.at)
            self.sent.append((self.clock.monotonic(), ticket.at))
            fails = ticket.at in self.down
            await self.clock.sleep(0.01 if fails else self.seconds[ticket.at])
            self.gate.settle(ticket, cost_pico=0 if fails else 4, tokens=90, reply=DOWN if fails else OK)
            if not fails:
                return

    async def worker(self) -> None:
        while True:
            try:
                await self.row()
            except GateClosed:
                return

    def by_endpoint(self, since: float = 0.0, until: float = 1e9) -> Counter[int]:
        return Counter(at for when, at in self.sent if since <= when < until)


class Working:
    """Workers at a queue, ended with the test."""

    def __init__(self, servers: Servers, workers: int) -> None:
        self._servers, self._workers = servers, workers

    async def __aenter__(self) -> Servers:
        self._tasks = [asyncio.create_task(self._servers.worker()) for _ in range(self._workers)]
        await settle()
        return self._servers

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._servers.gate.end()


@pytest.mark.parametrize("weights", [(3.0, 1.0), (1.0, 1.0), (0.5, 2.0), (5.0, 1.0)])
async def test_endpoints_that_have_free_slots_are_used_in_proportion_to_their_weights(
    weights: tuple[float, float],
) -> None:
    gate = gates(ManualClock(), {"max_in_flight": 1000}, {"max_in_flight": 1000}, weights=weights)
    took = Counter([(await send(gate)).at for _ in range(600)])
    assert took[0] == pytest.approx(600 * weights[0] / sum(weights), abs=1)


async def test_what_one_cannot_take_goes_to_the_other_at_once() -> None:
    gate = gates(ManualClock(), {"max_in_flight": 2}, {"max_in_flight": 50}, weights=(10.0, 1.0))
    took = Counter([(await send(gate)).at for _ in range(40)])
    assert took == {0: 2, 1: 38}


async def test_a_full_queue_fills_the_limit_of_each_endpoint_and_passes_none() -> None:
    clock = ManualClock()
    rates = (60, 240, 120)
    gate = gates(clock, *({"requests_per_minute": rate, "max_in_flight": 50} for rate in rates))
    async with Working(Servers(clock, gate, (1.0, 1.0, 1.0)), 30) as servers:
        await clock.advance(190)
        for at, rate in enumerate(rates):
            times = [when for when, to in servers.sent if to == at]
            assert all(sum(begin <= when < begin + 60 for when in times) <= rate for begin in times)
            assert sum(60 <= when < 180 for when in times) >= 0.97 * 2 * rate


async def test_a_failing_endpoint_rests_and_its_share_goes_to_the_others_until_it_is_back() -> None:
    clock, there = ManualClock(), {0: True, 1: True}
    gate = gates(clock, {"max_in_flight": 4}, {"max_in_flight": 4}, there=there)
    async with Working(Servers(clock, gate, (0.4, 0.4)), 12) as servers:
        await clock.advance(10)
        both = servers.by_endpoint(5, 10)
        assert both[0] == pytest.approx(both[1], rel=0.1)
        servers.down.add(0)
        there[0] = False
        await clock.advance(30)
        during = servers.by_endpoint(12, 40)
        assert during[0] == 0, "no look finds it, so nothing is sent"
        assert during[1] == pytest.approx(28 * 4 / 0.4, rel=0.05)
        assert any("http://a is failing" in one for one in gate.statistics().resting)
        servers.down.clear()
        there[0] = True
        await clock.advance(20)
        after = servers.by_endpoint(50, 60)
        assert after[0] == pytest.approx(after[1], rel=0.1), "its share, and none of what it missed"
        assert gate.closed is None


async def test_a_row_that_failed_is_tried_at_another_endpoint() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 8}, {"max_in_flight": 8})
    async with Working(Servers(clock, gate, (0.1, 0.1), down={0}), 4) as servers:
        await clock.advance(0.2)
        failed = [ways for ways in servers.tried if ways and ways[0] == 0 and len(ways) > 1]
        assert failed
        assert all(ways[1] == 1 for ways in failed)


async def test_a_retry_is_left_to_another_endpoint_while_new_rows_wait() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 1}, {"max_in_flight": 1})
    first, second = await send(gate), await send(gate)
    retry = asyncio.create_task(send(gate, retry=True, avoid=first.at))
    new = asyncio.create_task(send(gate))
    await settle()
    gate.settle(first, cost_pico=0, tokens=None, reply=OK)
    await settle()
    assert (new.done(), retry.done()) == (True, False), "the slot is at the endpoint that failed the row"
    gate.settle(second, cost_pico=0, tokens=None, reply=OK)
    assert (await retry).at == second.at


async def test_a_retry_goes_back_to_the_endpoint_that_failed_it_where_no_other_row_waits() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 1}, {"max_in_flight": 1})
    first, _ = await send(gate), await send(gate)
    retry = asyncio.create_task(send(gate, retry=True, avoid=first.at))
    await settle()
    gate.settle(first, cost_pico=0, tokens=None, reply=OK)
    assert (await retry).at == first.at


async def test_a_row_that_one_endpoint_refused_waits_for_another() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 1}, {"max_in_flight": 1})
    first, second = await send(gate), await send(gate)
    refused = asyncio.create_task(send(gate, retry=True, refused=frozenset({first.at})))
    await settle()
    gate.settle(first, cost_pico=0, tokens=None, reply=OK)
    await settle()
    assert not refused.done()
    gate.leave(second.at, Stop.REFUSED, "the endpoint does not accept the key")
    assert (await refused).at == first.at, "no other endpoint is left"


async def test_an_endpoint_that_is_left_out_is_told_and_the_run_ends_with_the_last() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 1}, {"max_in_flight": 1})
    gate.leave(0, Stop.REFUSED, "the endpoint does not accept the key: User not found.")
    assert gate.closed is None
    assert gate.open_endpoints == (1,)
    assert "User not found." in gate.statistics().resting[0]
    assert [(await send(gate)).at] == [1]
    waiting = asyncio.create_task(send(gate))
    await settle()
    gate.leave(1, Stop.REFUSED, "no such model")
    with pytest.raises(GateClosed, match=r"http://a: .*User not found.*http://b: no such model") as closed:
        await waiting
    assert closed.value.stop is Stop.REFUSED


async def test_an_endpoint_whose_day_is_used_up_leaves_the_rest_to_the_others() -> None:
    clock = ManualClock()
    gate = gates(clock, {"requests_per_day": 2, "max_in_flight": 9}, {"requests_per_day": 3, "max_in_flight": 9})
    took = Counter([(await send(gate)).at for _ in range(5)])
    assert took == {0: 2, 1: 3}
    with pytest.raises(GateClosed, match="requests_per_day") as closed:
        await send(gate)
    assert closed.value.stop is Stop.DAILY_LIMIT


async def test_what_comes_back_by_itself_decides_why_the_run_stops() -> None:
    gate = gates(ManualClock(), {"requests_per_day": 1}, {})
    gate.leave(1, Stop.REFUSED, "the endpoint does not accept the key")
    await send(gate)
    with pytest.raises(GateClosed) as closed:
        await send(gate)
    assert closed.value.stop is Stop.DAILY_LIMIT


async def test_a_daily_limit_that_an_endpoint_tells_leaves_the_run_to_the_others() -> None:
    gate = gates(ManualClock(), {}, {})
    ticket = await send(gate)
    gate.settle(ticket, cost_pico=0, tokens=None, reply=Reply(Outcome.THROTTLED, wait=3600.0, scope=Scope.DAILY))
    assert gate.open_endpoints == (1 - ticket.at,)
    assert gate.closed is None


async def test_a_pause_at_one_endpoint_holds_nothing_back_at_the_other() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 9}, {"max_in_flight": 9})
    ticket = await send(gate)
    gate.settle(ticket, cost_pico=0, tokens=None, reply=Reply(Outcome.THROTTLED, wait=30.0, scope=Scope.RATE))
    assert {(await send(gate)).at for _ in range(9)} == {1 - ticket.at}


async def test_the_run_gives_up_only_when_no_endpoint_answers() -> None:
    clock, there = ManualClock(), {0: False, 1: False}
    gate = gates(clock, {"max_in_flight": 4}, {"max_in_flight": 4}, give_up=60.0, there=there)
    async with Working(Servers(clock, gate, (1.0, 1.0), down={0}), 6) as servers:
        await clock.advance(90)
        assert gate.closed is None
        servers.down.add(1)
        await clock.advance(150)
        assert gate.closed is not None
        assert gate.closed.stop is Stop.UNREACHABLE


async def test_a_request_too_large_for_one_endpoint_goes_to_the_other() -> None:
    clock = ManualClock()
    gate = gates(clock, {"tokens_per_minute": 50}, {"tokens_per_minute": 5000})
    assert gate.fits(NEED) is None
    sent = [asyncio.create_task(send(gate)) for _ in range(5)]
    await clock.advance(10)
    assert {(await one).at for one in sent} == {1}
    assert "50" in (gate.fits(Need(9000, 0, 0)) or "")


async def test_money_is_reserved_in_one_line_for_all() -> None:
    clock = ManualClock()
    gate = gates(clock, {}, {}, budget=Budget(cap_pico=20))
    first, second = await send(gate), await send(gate)
    third = asyncio.create_task(send(gate))
    await settle()
    assert not third.done()
    assert gate.statistics().waiting_for_budget == 1
    gate.settle(first, cost_pico=5, tokens=None, reply=OK)
    await settle()
    assert not third.done(), "15 of 20 are spent or reserved"
    gate.settle(second, cost_pico=5, tokens=None, reply=OK)
    await third
    statistics = gate.statistics()
    assert (statistics.spent_pico, statistics.reserved_pico, statistics.in_flight) == (10, 10, 1)


async def test_figures_are_those_of_all_endpoints_together() -> None:
    clock = ManualClock()
    one = {"requests_per_minute": 60, "max_in_flight": 3}
    gate = gates(clock, one, {"requests_per_minute": 30, "max_in_flight": 2}, {"max_in_flight": 1})
    waiting = [asyncio.create_task(send(gate)) for _ in range(9)]
    await clock.advance(3)
    statistics = gate.statistics()
    assert (statistics.in_flight, statistics.in_flight_limit, statistics.sent) == (6, 6, 6)
    assert (statistics.waiting, statistics.binding) == (3, Binding.IN_FLIGHT)
    assert statistics.requests_per_minute is None, "one of them has no such limit"
    gate.close(Stop.SIGINT, "interrupted")
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(one, GateClosed) for one in ended) == 3


async def test_a_waiter_that_is_cancelled_gives_its_slot_back_where_it_was() -> None:
    clock = ManualClock()
    gate = gates(clock, {"max_in_flight": 1}, {"max_in_flight": 1}, budget=Budget(cap_pico=1000))
    first, second = await send(gate), await send(gate)
    waiting = asyncio.create_task(send(gate))
    await settle()
    gate.settle(first, cost_pico=0, tokens=None, reply=OK)
    waiting.cancel()  # in the same turn of the loop as it was let through
    next_one = asyncio.create_task(send(gate))
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await next_one).at == first.at
    gate.settle(second, cost_pico=0, tokens=None, reply=OK)
    gate.settle(await next_one, cost_pico=0, tokens=None, reply=OK)
    assert gate.statistics().reserved_pico == 0


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 10**6))
def test_a_list_of_one_decides_as_the_gate_alone(seed: int) -> None:
    """The gate alone, long tested, is the reference."""

    async def times(build: Any) -> list[float]:
        clock, rng = ManualClock(jumps=()), random.Random(seed)
        limits = LimitSettings(requests_per_minute=rng.choice([None, 120]), max_in_flight=rng.choice([1, 3, 8]))
        gate: RunGate = build(Gate(limits, Budget(cap_pico=5_000), clock))
        sent: list[float] = []

        async def row(takes: float, reply: Reply) -> None:
            ticket = await send(gate)
            sent.append(clock.monotonic())
            await clock.sleep(takes)
            gate.settle(ticket, cost_pico=3, tokens=80, reply=reply)

        replies = [OK] * 8 + [DOWN, Reply(Outcome.THROTTLED, wait=2.0)]
        rows = [asyncio.create_task(row(rng.uniform(0.05, 2), rng.choice(replies))) for _ in range(40)]
        await clock.advance(120)
        for one in rows:
            one.cancel()
        await asyncio.gather(*rows, return_exceptions=True)
        gate.end()
        return sent

    alone = asyncio.run(times(lambda gate: gate))
    assert asyncio.run(times(lambda gate: Gates([gate], [1.0]))) == alone


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 10**6))
def test_whatever_happens_budget_and_slots_hold_and_nothing_is_left_held(seed: int) -> None:
    async def run() -> None:
        clock, rng, cap = ManualClock(jumps=()), random.Random(seed), 300
        slots = [rng.randint(1, 4) for _ in range(3)]
        budget = Budget(cap_pico=cap)
        gate = gates(clock, *({"max_in_flight": one} for one in slots), budget=budget)
        flying: Counter[int] = Counter()
        replies = [OK, OK, OK, DOWN, Reply(Outcome.THROTTLED, wait=1.0), Reply(Outcome.OTHER)]

        async def row() -> None:
            avoid = rng.choice([None, 0, 1, 2])
            refused = frozenset(rng.sample(range(3), rng.choice([0, 0, 1, 2])))
            ticket = await send(gate, retry=rng.random() < 0.3, avoid=avoid, refused=refused)
            flying[ticket.at] += 1
            assert flying[ticket.at] <= slots[ticket.at]
            try:
                await clock.sleep(rng.uniform(0, 3))
            finally:
                flying[ticket.at] -= 1
                gate.settle(
                    ticket, cost_pico=rng.randint(0, 10), tokens=rng.choice([None, 50]), reply=rng.choice(replies)
                )

        tasks = [asyncio.create_task(row()) for _ in range(60)]
        for _ in range(12):
            await clock.advance(rng.uniform(0, 4))
            assert budget.spent_pico + budget.reserved_pico <= cap
            rng.choice(tasks).cancel()
            if rng.random() < 0.1:
                gate.leave(rng.randrange(3), Stop.REFUSED, "refused")
        if rng.random() < 0.5:
            gate.close(Stop.SIGINT, "interrupted")
        else:
            await clock.advance(400)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        faults = [one for one in ended if isinstance(one, Exception) and not isinstance(one, GateClosed)]
        assert not faults, faults
        gate.end()
        statistics = gate.statistics()
        assert (statistics.in_flight, statistics.waiting, statistics.waiting_for_budget) == (0, 0, 0)
        assert (budget.reserved_pico, budget.outstanding) == (0, 0)

    asyncio.run(run())
