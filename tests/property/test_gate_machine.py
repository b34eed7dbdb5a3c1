"""No interleaving of asking, answering, pausing, cancelling and closing passes any cap, and nothing leaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits import Gate, GateClosed, Need, Outcome, Reply, Ticket
from tests.clock import ManualClock
from tests.lanes import examples

CAP_PICO, CAP_TOKENS = 10_000, 6_000
REQUESTS, TOKENS, SLOTS = 20, 3_000, 5


class Gates(RuleBasedStateMachine):
    """Each request is a task: it reserves, is admitted, and waits in flight until it is settled."""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.budget = Budget(cap_pico=CAP_PICO, cap_tokens=CAP_TOKENS)
        limits = LimitSettings(requests_per_minute=REQUESTS, tokens_per_minute=TOKENS, max_in_flight=SLOTS)
        self.gate = Gate(limits, self.budget, self.clock)
        self.tasks: list[asyncio.Task[None]] = []
        self.flying: list[Ticket] = []
        self.sent: deque[tuple[float, int]] = deque()
        self.billed = 0
        self.closed = False

    def run(self, work: Any) -> None:
        self.loop.run_until_complete(work)

    async def _ask(self, need: Need, *, retry: bool) -> None:
        with contextlib.suppress(GateClosed):
            ticket = await self.gate.reserve(need, retry=retry)
            try:
                await self.gate.admit(ticket)
            except BaseException:
                self.gate.release(ticket)
                raise
            self.sent.append((self.clock.monotonic(), need.tokens))
            self.flying.append(ticket)

    @rule(tokens=st.integers(1, 400), pico=st.integers(1, 900), retry=st.booleans())
    def ask(self, tokens: int, pico: int, retry: bool) -> None:
        need = Need(tokens=tokens, worst_pico=pico, worst_tokens=2 * tokens)
        self.tasks.append(self.loop.create_task(self._ask(need, retry=retry)))
        self.run(self.clock.advance(0))

    @rule(which=st.integers(0, 99), share=st.integers(0, 100), outcome=st.sampled_from(list(Outcome)))
    def answer(self, which: int, share: int, outcome: Outcome) -> None:
        if not self.flying:
            return
        ticket = self.flying.pop(which % len(self.flying))
        cost, tokens = ticket.need.worst_pico * share // 100, ticket.need.tokens * share // 100
        wait = 2.0 if outcome is Outcome.THROTTLED else None

        async def settle() -> None:
            self.gate.settle(ticket, cost_pico=cost, tokens=tokens, reply=Reply(outcome, wait))

        self.billed += cost
        self.run(settle())
        self.run(self.clock.advance(0))

    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        waiting = [task for task in self.tasks if not task.done()]
        if waiting:
            waiting[which % len(waiting)].cancel()
            self.run(self.clock.advance(0))

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 20.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.clock.advance(seconds))

    @rule(seconds=st.sampled_from([-90_000.0, -3600.0, -0.3, 0.3, 3600.0, 90_000.0]))
    def jump(self, seconds: float) -> None:
        self.clock.suspend(seconds)

    @rule()
    def close(self) -> None:
        async def close() -> None:
            self.gate.close(Stop.SIGINT, "interrupted")

        self.closed = True
        self.run(close())
        self.run(self.clock.advance(0))
        assert all(task.done() for task in self.tasks), "who waits at a closed gate is told at once"

    @invariant()
    def no_cap_is_passed(self) -> None:
        assert self.billed <= CAP_PICO
        assert self.budget.spent_pico == self.billed
        assert self.budget.spent_pico + self.budget.reserved_pico <= CAP_PICO
        assert self.budget.spent_tokens + self.budget.reserved_tokens <= CAP_TOKENS
        assert len(self.flying) <= SLOTS

    @invariant()
    def no_minute_is_overfull(self) -> None:
        now = self.clock.monotonic()
        while self.sent and self.sent[0][0] <= now - 60:
            self.sent.popleft()
        assert len(self.sent) <= REQUESTS

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self._come_to_rest()
        finally:
            for task in self.tasks:
                task.cancel()
            self.run(self._ended())
            self.loop.close()

    async def _ended(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _come_to_rest(self) -> None:
        """Answer all in flight and cancel all who wait: then nothing is held any more."""
        for task in self.tasks:
            task.cancel()
        self.run(self.clock.advance(0))
        while self.flying:
            self.answer(0, 50, Outcome.OK)
        statistics = self.gate.statistics()
        assert (statistics.in_flight, statistics.waiting, statistics.waiting_for_budget) == (0, 0, 0)
        assert (self.budget.reserved_pico, self.budget.reserved_tokens) == (0, 0)


TestNoInterleavingPassesACap = Gates.TestCase
TestNoInterleavingPassesACap.settings = settings(max_examples=examples(40), stateful_step_count=40)
