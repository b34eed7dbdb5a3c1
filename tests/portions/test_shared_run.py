"""A shared run seen while its portions are at work: sums, the first reason to stop, what the portions are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from parquill.budget import Budget
from parquill.errors import Stop, StorageFaultError
from parquill.ledger import Spend
from parquill.portions.mailbox import Mailbox, PortionProgress, PortionReport, Signal
from parquill.portions.shared_run import SharedRun
from parquill.portions.work_order import RunToShare
from parquill.run_state import LimitUse
from tests.clock import ManualClock

NOTHING = Spend(0, 0, 0, 0, 0, 0, 0)


class Portion:
    """What a shared run asks of a portion's post."""

    def __init__(self) -> None:
        self.words: list[Signal] = []
        self.progress: PortionProgress | None = None
        self.ended: PortionReport | None = None
        self.is_gone = False

    def tell(self, word: Signal) -> None:
        if self.is_gone:
            raise StorageFaultError("gone")
        self.words.append(word)

    def shown(self) -> PortionProgress | None:
        return self.progress

    def report(self) -> PortionReport | None:
        return self.ended


class Shared:
    def __init__(self, portions: int = 2) -> None:
        self.clock = ManualClock(monotonic=100.0)
        self.samples: list[Any] = []
        manifest = SimpleNamespace(rows=100)
        work = SimpleNamespace(
            plan=SimpleNamespace(manifest=manifest, kept_ok=10, kept_errors={"timeout": 2}),
            opened=SimpleNamespace(job=SimpleNamespace(name="job")),
            clock=self.clock,
            started=90.0,
            budget=Budget(cap_pico=1000, spent_pico=50, spent_tokens=7),
            timeline=SimpleNamespace(add=self.samples.append),
        )
        self.portions = [Portion() for _ in range(portions)]
        self.run = SharedRun(cast(RunToShare, work), cast(list[Mailbox], self.portions))


async def until(what: Callable[[], object]) -> None:
    """Wait for what other threads bring about."""
    for _ in range(2000):
        if what():
            return
        await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.005)
    raise AssertionError("it never came")


def progress(**changes: Any) -> PortionProgress:
    return PortionProgress(**{"at": 5.0, "ok": 3, "failed": 1, "reused": 1, "requests": 6, "spent_pico": 20, **changes})


async def test_what_portions_told_last_is_added_up() -> None:
    shared = Shared()
    uses = [LimitUse("requests/min", 3.0, 10.0, binds=True), LimitUse("requests/min", 2.0, 10.0)]
    shared.portions[0].progress = progress(limits=(uses[0],), errors={"timeout": 1}, prompt_tokens=4, in_flight=2)
    shared.portions[1].progress = progress(ok=5, limits=(uses[1],), completion_tokens=6, http_429=1)
    async with shared.run.heartbeats():
        await until(lambda: shared.run.state().message == "asked by 2 of 2 processes")
        state = shared.run.state()
    rows = state.progress.rows
    assert (rows.total, rows.ok, rows.failed, rows.not_attempted, rows.reused) == (100, 18, 4, 78, 2)
    assert dict(state.progress.errors_by_kind) == {"timeout": 3}
    assert (state.requests, state.in_flight, state.http_429, state.seconds) == (12, 2, 1, 10.0)
    assert (state.spent_pico, state.cap_pico, state.progress.cost_pico) == (90, 1000, 40)
    assert state.limits == (LimitUse("requests/min", 5.0, 20.0, binds=False),)
    assert shared.samples[-1].tokens == 7 + 10


async def test_a_portion_that_cannot_be_read_keeps_what_it_told_before() -> None:
    shared = Shared(1)
    shared.portions[0].progress = progress()
    async with shared.run.heartbeats():
        await until(lambda: shared.run.state().requests == 6)
        shared.portions[0].progress = None
    assert shared.run.state().requests == 6
    shared.portions[0].progress = progress(requests=9)
    async with shared.run.heartbeats():
        pass
    assert shared.run.state().requests == 9


async def test_portions_hear_again_and_again_that_their_run_lives_and_at_once_that_it_stops() -> None:
    shared = Shared()
    shared.portions[1].is_gone = True
    async with shared.run.heartbeats():
        await until(lambda: shared.portions[0].words)
        shared.run.stop(Stop.SIGTERM, "stop", grace=9.0)
        await until(lambda: len(shared.portions[0].words) >= 2)
        shared.run.stop(Stop.SIGINT, "now", grace=1.0)
        await until(lambda: len(shared.portions[0].words) >= 3)
        shared.run.stop(Stop.SIGINT, "late", grace=5.0)
        await until(lambda: len(shared.portions[0].words) >= 4)
    words = shared.portions[0].words
    assert [word.beat for word in words] == list(range(1, len(words) + 1)), "each is a new one"
    assert [word.grace for word in words[:4]] == [None, 9.0, 1.0, 1.0]
    assert shared.run.stopped == (Stop.SIGTERM, "stop"), "the first reason stands"
    assert shared.run.state().message == "stopping: stop"


@pytest.mark.parametrize(
    ("reason", "ends_all"),
    [(Stop.COST_ALARM, True), (Stop.REFUSED, True), (Stop.UNREACHABLE, True), (Stop.BUDGET, False), (None, False)],
)
async def test_what_would_stop_every_portion_stops_them_all(reason: Stop | None, ends_all: bool) -> None:
    shared = Shared()
    shared.portions[0].ended = PortionReport(NOTHING, stopped=None if reason is None else (reason, "why"))
    async with shared.run.heartbeats():
        if ends_all:
            await until(lambda: shared.run.stopped is not None)
        else:
            await until(lambda: shared.portions[0].words)
            await shared.clock.advance(3.0)
    assert shared.run.stopped == ((reason, "why") if ends_all else None)


def test_portions_are_overdue_a_minute_and_a_half_after_they_were_told_to_stop() -> None:
    shared = Shared()
    shared.clock = cast(ManualClock, shared.run._work.clock)
    assert shared.run.is_overdue is False
    shared.run.stop(Stop.SIGTERM, "stop")
    assert shared.run.is_overdue is False
    shared.clock._now += 90.0
    assert shared.run.is_overdue is False
    shared.clock._now += 0.1
    assert shared.run.is_overdue is True
    shared.run.stop(Stop.SIGINT, "again")
    assert shared.run.is_overdue is True, "a second word gives no more time"


async def test_a_stop_at_the_very_end_of_a_run_does_not_keep_it_from_ending() -> None:
    """Told to stop and cancelled in one turn of the loop: the word that was waited for must not swallow the end."""
    shared = Shared()
    async with asyncio.timeout(20):
        async with shared.run.heartbeats():
            await until(lambda: shared.portions[1].words)
            for _ in range(20):
                await asyncio.sleep(0)
            shared.run.stop(Stop.SIGTERM, "stop")
    assert shared.run.stopped == (Stop.SIGTERM, "stop")
