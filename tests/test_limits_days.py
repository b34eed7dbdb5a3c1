"""Caps of a day at machines that sleep, whose clocks are set, and in zones that turn theirs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import zoneinfo
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parquill.budget import Budget
from parquill.days import day_at
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, GateClosed, Need, Outcome, Reply, Scope, Ticket
from tests.clock import ManualClock
from tests.lanes import examples

NOON = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0
OK = Reply(Outcome.OK)


@dataclass
class Endpoint:
    """A gate, rows without end, and a log of when each was sent by the machine's clock."""

    clock: ManualClock
    gate: Gate
    sent: list[tuple[float, int]] = field(default_factory=list)
    flying: list[tuple[Ticket, int]] = field(default_factory=list)

    async def ask(self, worst: int = 1) -> None:
        with contextlib.suppress(GateClosed):
            ticket = await self.gate.reserve(Need(1, worst, worst))
            await self.gate.admit(ticket)
            self.sent.append((self.clock.wall(), worst))
            self.flying.append((ticket, worst))

    def answer(self) -> None:
        for ticket, worst in self.flying:
            self.gate.settle(ticket, cost_pico=worst, tokens=worst, reply=OK)
        self.flying.clear()

    async def ask_many(self, count: int) -> None:
        """Ask one row after the other, as far as they are let through."""
        for _ in range(count):
            row = asyncio.create_task(self.ask())
            await self.clock.advance(0)
            if not row.done():
                row.cancel()
                await asyncio.gather(row, return_exceptions=True)
            self.answer()

    def by_day(self, zone: str = "UTC") -> dict[dt.date, int]:
        found: dict[dt.date, int] = {}
        for wall, cost in self.sent:
            day = dt.datetime.fromtimestamp(day_at(wall, zoneinfo.ZoneInfo(zone)).end - 1, zoneinfo.ZoneInfo(zone))
            found[day.date()] = found.get(day.date(), 0) + cost
        return found


def opened(limits: LimitSettings, budget: Budget, wall: float = NOON) -> Endpoint:
    clock = ManualClock(wall=wall, jumps=())
    return Endpoint(clock, Gate(limits, budget, clock))


def capped(kind: str, wall: float = NOON, *, cap: int = 10, zone: str = "UTC", waits: bool = True) -> Endpoint:
    if kind == "requests":
        return opened(LimitSettings(requests_per_day=cap, wait=waits), Budget(), wall)
    amounts = {"cap_pico": cap} if kind == "money" else {"cap_tokens": cap}
    budget = Budget(per="day", timezone=zone, **amounts)  # type: ignore[arg-type]  # the one or the other cap
    return opened(LimitSettings(wait=waits), budget, wall)


KINDS = pytest.mark.parametrize("kind", ["money", "tokens", "requests"])


@KINDS
async def test_after_a_sleep_over_midnight_the_new_day_has_its_cap_once(kind: str) -> None:
    """An unpaced run sets no timer that could tell of the new day."""
    endpoint = capped(kind)
    await endpoint.ask_many(2)
    endpoint.clock.suspend(DAY)
    await endpoint.ask_many(8)
    await endpoint.clock.advance(120)
    await endpoint.ask_many(20)
    assert list(endpoint.by_day().values()) == [2, 10]


@KINDS
async def test_a_clock_that_is_set_back_opens_no_day_again(kind: str) -> None:
    endpoint = capped(kind)
    await endpoint.ask_many(12)
    endpoint.clock.set_wall(NOON + DAY)
    await endpoint.ask_many(4)
    endpoint.clock.set_wall(NOON + HOUR)
    await endpoint.ask_many(5)
    endpoint.clock.set_wall(NOON + DAY)
    await endpoint.ask_many(12)
    assert list(endpoint.by_day().values()) == [10, 10]


@KINDS
async def test_what_was_sent_while_the_clock_was_ahead_counts_on_the_true_day(kind: str) -> None:
    endpoint = capped(kind, NOON + DAY)
    await endpoint.ask_many(7)
    endpoint.clock.set_wall(NOON)
    await endpoint.ask_many(9)
    assert len(endpoint.sent) == 10


@KINDS
async def test_a_small_step_back_over_midnight_changes_nothing(kind: str) -> None:
    midnight = NOON + 12 * HOUR
    endpoint = capped(kind, midnight - 1)
    await endpoint.ask_many(12)
    await endpoint.clock.advance(1.5)
    await endpoint.ask_many(3)
    endpoint.clock.set_wall(midnight - 0.5)
    await endpoint.ask_many(3)
    await endpoint.clock.advance(1)
    await endpoint.ask_many(20)
    assert list(endpoint.by_day().values()) == [10, 10]


@pytest.mark.parametrize(
    ("zone", "first", "hours"),
    [
        ("Atlantic/Azores", "2026-10-25T00:10", 25),
        ("America/Havana", "2026-11-01T04:10", 25),
        ("Asia/Beirut", "2026-03-28T22:10", 23),
        ("Europe/Berlin", "2026-10-24T22:10", 25),
    ],
)
async def test_a_day_in_which_clocks_are_turned_has_its_cap_once(zone: str, first: str, hours: int) -> None:
    begin = dt.datetime.fromisoformat(first).replace(tzinfo=dt.UTC).timestamp()
    endpoint = capped("money", begin, zone=zone)
    for _ in range(hours):
        await endpoint.ask_many(3)
        await endpoint.clock.advance(HOUR)
    assert endpoint.by_day(zone) == {min(endpoint.by_day(zone)): 10}
    await endpoint.ask_many(3)
    assert list(endpoint.by_day(zone).values()) == [10, 3]


async def test_a_run_that_begins_again_in_the_repeated_midnight_hour_knows_what_the_day_has_spent() -> None:
    zone, begin = "Atlantic/Azores", dt.datetime(2026, 10, 25, 0, 10, tzinfo=dt.UTC).timestamp()
    budget = Budget(cap_pico=10, per="day", timezone=zone, earlier=[(begin, (8, 0))])
    endpoint = opened(LimitSettings(), budget, begin + HOUR)
    await endpoint.ask_many(5)
    assert len(endpoint.sent) == 2


async def test_what_was_reserved_on_another_day_is_not_sent_on_one_that_is_used_up() -> None:
    endpoint = capped("money", waits=False, wall=NOON)
    endpoint.gate = Gate(LimitSettings(max_in_flight=1), Budget(cap_pico=10, per="day"), endpoint.clock)
    await endpoint.ask_many(10)
    endpoint.clock.set_wall(NOON + DAY)
    rows = [asyncio.create_task(endpoint.ask()) for _ in range(3)]
    await endpoint.clock.advance(0)
    assert len(endpoint.sent) == 11
    endpoint.clock.set_wall(NOON)
    endpoint.answer()
    await endpoint.clock.advance(0)
    assert [row.done() for row in rows] == [True] * 3
    assert len(endpoint.sent) == 11
    assert endpoint.gate.closed is not None
    assert endpoint.gate.closed.stop is Stop.BUDGET


async def test_a_request_counts_on_the_day_on_which_it_was_sent() -> None:
    endpoint = capped("money", NOON + 12 * HOUR - 1)
    await asyncio.gather(*(endpoint.ask() for _ in range(4)))
    await endpoint.clock.advance(2)
    endpoint.answer()
    await endpoint.ask_many(20)
    assert list(endpoint.by_day().values()) == [4, 10]


@pytest.mark.parametrize("step", [DAY, -DAY, 5 * DAY, -5 * DAY])
async def test_the_endpoints_own_daily_limit_is_waited_for_whatever_is_done_to_the_clock(step: float) -> None:
    endpoint = opened(LimitSettings(wait=True), Budget())
    await endpoint.ask()
    (ticket, _) = endpoint.flying.pop()
    endpoint.gate.settle(
        ticket, cost_pico=0, tokens=0, reply=Reply(Outcome.THROTTLED, wait=2 * HOUR, scope=Scope.DAILY)
    )
    waiting = asyncio.create_task(endpoint.ask())
    await endpoint.clock.advance(HOUR)
    assert not waiting.done()
    endpoint.clock.suspend(step)
    await endpoint.clock.advance(HOUR + 61)
    assert waiting.done()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 4)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 70.0, HOUR, 9 * HOUR])),
        st.tuples(st.just("jump"), st.sampled_from([-3 * DAY, -DAY, -HOUR, -1.0, 1.0, HOUR, DAY, 3 * DAY])),
    ),
    max_size=40,
)


@settings(max_examples=examples(150))
@given(steps=STEPS, zone=st.sampled_from(["UTC", "Atlantic/Azores", "Asia/Tokyo"]), slots=st.sampled_from([1, 3]))
@pytest.mark.parametrize("kind", ["money", "requests"])
def test_no_day_passes_its_cap_however_the_clock_jumps(
    kind: str, steps: list[tuple[str, float]], zone: str, slots: int
) -> None:
    """Of each day, and at each sending of all that was sent under that date or a later one."""

    async def live() -> None:
        endpoint = capped(kind, dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC).timestamp(), cap=6, zone=zone)
        limits = LimitSettings(max_in_flight=slots, wait=True, requests_per_day=6 if kind == "requests" else None)
        endpoint.gate = Gate(limits, _budget(kind, zone), endpoint.clock)
        rows = []
        for what, amount in steps:
            if what == "ask":
                rows.append(asyncio.create_task(endpoint.ask(1 if kind == "requests" else int(amount))))
            elif what == "answer":
                endpoint.answer()
            elif what == "wait":
                await endpoint.clock.advance(amount)
            else:
                endpoint.clock.suspend(amount)
            await endpoint.clock.advance(0)
        for row in rows:
            row.cancel()
        await asyncio.gather(*rows, return_exceptions=True)
        here = zoneinfo.ZoneInfo("UTC" if kind == "requests" else zone)
        for number, (wall, _) in enumerate(endpoint.sent):
            today = day_at(wall, here)
            so_far = endpoint.sent[: number + 1]
            assert sum(cost for at, cost in so_far if at >= today.start) <= 6
            assert sum(cost for at, cost in endpoint.sent if today.start <= at < today.end) <= 6

    asyncio.run(live())


def _budget(kind: str, zone: str) -> Budget:
    return Budget(cap_pico=6, per="day", timezone=zone) if kind == "money" else Budget()
