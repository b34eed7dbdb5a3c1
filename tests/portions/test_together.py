"""A shared run in simulated time: workers that die and are replaced, then the first process with what is left.

Real gates, each with its share, on one clock turned by hand; at every step the sums are held
against the whole: money and tokens spent and held, requests and tokens of any minute, slots, the day.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.limits import Gate, GateClosed, Need, Outcome, Reply
from parquill.portions.quotas import Available, Quota, divide_quotas
from tests.clock import JUMPS, ManualClock
from tests.portions.windows import most_in_a_minute

WORST, WORST_TOKENS, MOST_TOKENS = 400, 60, 40
STEP = 0.5


@dataclass
class Worker:
    """A process with its share: its gate, and the rows that it has in hand."""

    gate: Gate
    rows: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass
class Endpoint:
    """What really happened."""

    clock: ManualClock
    rng: random.Random
    sent: list[float] = field(default_factory=list)
    billed: int = 0
    tokens: int = 0

    async def ask(self, gate: Gate) -> None:
        """One of a worker's senders: rows without end."""
        try:
            while True:
                tokens = self.rng.randint(5, MOST_TOKENS)
                ticket = await gate.reserve(Need(tokens=MOST_TOKENS, worst_pico=WORST, worst_tokens=WORST_TOKENS))
                await gate.admit(ticket)
                cost = self.rng.randint(1, WORST)
                self.sent.append(self.clock.monotonic())
                self.billed += cost
                self.tokens += tokens
                await self.clock.sleep(self.rng.uniform(0.2, 4.0))
                gate.settle(ticket, cost_pico=cost, tokens=tokens, reply=Reply(Outcome.OK))
        except GateClosed:
            return


class Company:
    """A run's workers, and what those that died have left in the books."""

    def __init__(self, whole: Available, count: int, seed: int, *, jumps: tuple[float, ...]) -> None:
        self.clock, self.rng, self.whole = ManualClock(jumps=jumps), random.Random(seed), whole
        self.endpoint = Endpoint(self.clock, self.rng)
        self.shares = divide_quotas(whole, count)
        self.workers = [self._begin(share, Budget.from_settings(share.budget)) for share in self.shares]

    def _begin(self, share: Quota, budget: Budget, *, used: int = 0, crowded: bool = False) -> Worker:
        worker = Worker(Gate(share.limits, budget, self.clock, day_used=used, crowded=crowded))
        senders = share.limits.max_in_flight
        assert isinstance(senders, int)
        worker.rows = [asyncio.create_task(self.endpoint.ask(worker.gate)) for _ in range(senders + 1)]
        return worker

    async def kill(self, number: int) -> None:
        """A worker dies; another goes on with its share, all that was under way booked at worst."""
        before, share = self.workers[number].gate.statistics(), self.shares[number]
        await self._end(self.workers[number])
        budget = Budget.from_settings(
            share.budget,
            spent_pico=before.spent_pico + before.reserved_pico,
            spent_tokens=before.spent_tokens + before.reserved_tokens,
        )
        self.workers[number] = self._begin(share, budget, used=before.day_used, crowded=True)

    async def _end(self, worker: Worker) -> None:
        for row in worker.rows:
            row.cancel()
        await asyncio.gather(*worker.rows, return_exceptions=True)

    async def give_back(self) -> None:
        """All portions end; the first process goes on with the whole, less what was spent."""
        for worker in self.workers:
            worker.gate.close(Stop.SIGTERM, "enough")
        for _ in range(20):
            await self.clock.advance(STEP)
        seen = [worker.gate.statistics() for worker in self.workers]
        whole = divide_quotas(self.whole, 1)[0]
        budget = Budget.from_settings(
            whole.budget,
            spent_pico=sum(one.spent_pico for one in seen),
            spent_tokens=sum(one.spent_tokens for one in seen),
        )
        self.shares = (whole,)
        self.workers = [self._begin(whole, budget, used=len(self.endpoint.sent), crowded=True)]

    def check(self) -> None:
        """Hold the sums of this instant against the whole."""
        seen, whole = [worker.gate.statistics() for worker in self.workers], self.whole
        assert whole.pico is not None
        assert whole.tokens is not None
        assert whole.requests_today is not None
        assert isinstance(whole.max_in_flight, int)
        assert self.endpoint.billed <= sum(one.spent_pico + one.reserved_pico for one in seen) <= whole.pico
        assert self.endpoint.tokens <= sum(one.spent_tokens + one.reserved_tokens for one in seen) <= whole.tokens
        assert sum(one.in_flight for one in seen) <= whole.max_in_flight
        assert len(self.endpoint.sent) <= whole.requests_today

    async def close(self) -> None:
        for worker in self.workers:
            await self._end(worker)


@pytest.mark.parametrize("count", [2, 16, 64])
@pytest.mark.parametrize("scarce", ["rate", "budget", "tokens", "day"])
async def test_sums_hold_at_every_instant_when_processes_die_and_what_is_left_is_used(count: int, scarce: str) -> None:
    rate = 320
    whole = Available(
        requests_per_minute=rate,
        tokens_per_minute=rate * MOST_TOKENS,
        requests_today=400 if scarce == "day" else 10**6,
        max_in_flight=128,
        pico=80_000 if scarce == "budget" else 10**9,
        tokens=9_000 if scarce == "tokens" else 10**9,
    )
    company = Company(whole, count, seed=count, jumps=() if scarce == "day" else JUMPS["days astray"])
    for turn in range(440):
        await company.clock.advance(STEP)
        company.check()
        if turn in (30, 90, 150):
            await company.kill(company.rng.randrange(count))
        if turn == 200:
            await company.give_back()
    sent, last = company.endpoint.sent, company.workers[0].gate
    assert most_in_a_minute(sent) <= rate
    used = last.statistics()
    if scarce == "rate":
        assert len([at for at in sent if at < 100]) >= 0.9 * (1 - 1.5 / count) * rate * 100 / 60
        assert sent[-1] - sent[0] > 170, "the first process went on with the whole"
    else:
        assert last.closed is not None
        left = {"budget": (used.free_pico or 0) / WORST, "tokens": (used.free_tokens or 0) / WORST_TOKENS}
        assert left.get(scarce, 400 - len(sent)) < 1, "nothing of use is left"
    await company.close()
