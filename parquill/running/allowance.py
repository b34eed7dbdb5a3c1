"""Builds what a run may still use: its limits and its budget, less what the ledger has booked."""

from __future__ import annotations

import datetime as dt
import functools
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from parquill.budget import Budget
from parquill.clock import Clock
from parquill.days import UTC_DAY, day_at
from parquill.endpoint import Endpoint, EndpointFacts
from parquill.errors import JobError, Stop
from parquill.job import Job
from parquill.ledger import DatedSpend, Ledger
from parquill.limits import Gate, Gates, RunGate
from parquill.money import to_pico
from parquill.open_files import most_in_flight

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.5
"""What a look at a failing endpoint may take."""
REMEMBERED = 40 * UTC_DAY
"""Seconds; a clock that is set back by more finds days of which a run does not know what was spent."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits and the budget of a job, with its ledger."""

    job: Job
    ledger: Ledger
    clock: Clock

    @property
    def cap_pico(self) -> int | None:
        """The budget in money; None without one."""
        return None if self.job.budget.usd is None else to_pico(self.job.budget.usd)

    async def budget(self, run: int) -> Budget:
        """The budget, with what this run or day has spent already."""
        settings = self.job.budget
        if settings.per == "run":
            spent = await self.ledger.totals(run)
            return Budget.from_settings(settings, spent_pico=spent.pico, spent_tokens=spent.tokens)
        earlier = [(one.at, (one.spent.pico, one.spent.tokens)) for one in await self._spent()]
        budget = Budget.from_settings(settings, earlier=earlier)
        budget.turn_day(self.clock.wall())
        return budget

    async def gate(self, run: int, endpoints: Sequence[Endpoint], *, crowded: bool, sharers: int) -> RunGate:
        """The gate before each endpoint, with what this run and this day have used already."""
        budget, most = await self.budget(run), most_in_flight()
        gates: list[Gate] = []
        for endpoint in endpoints:
            limits = endpoint.job.limits
            slots = most if most is None else max(1, most // len(endpoints))
            if slots is not None and isinstance(limits.max_in_flight, int) and limits.max_in_flight > slots:
                log.warning(
                    "limits.max_in_flight is %d, but this process may open only so many files that %d requests are in "
                    "flight at once; raise the limit (ulimit -n)",
                    limits.max_in_flight,
                    slots,
                )
            gate = Gate(
                limits,
                budget,
                self.clock,
                earlier=await self._asked_of(endpoint, alone=len(endpoints) == 1),
                crowded=crowded,
                sharers=sharers,
                most_slots=slots,
                give_up=self.job.retry.give_up_seconds,
                look=functools.partial(endpoint.is_there, seconds=_LOOK_SECONDS),
                beside=gates[0] if gates else None,
                name=endpoint.name,
            )
            gates.append(gate)
        if len(gates) == 1:
            return gates[0]
        together = Gates(gates, [one.weight for one in endpoints])
        for at, endpoint in enumerate(endpoints):
            if endpoint.left_out:
                together.leave(at, Stop.REFUSED, endpoint.left_out)
        return together

    async def day_used(self, endpoints: Sequence[Endpoint]) -> list[int]:
        """Requests of this UTC day to each endpoint, and of later ones where the clock was ahead."""
        today, alone = day_at(self.clock.wall(), dt.UTC).start, len(endpoints) == 1
        asked = [await self._asked_of(one, alone=alone) for one in endpoints]
        return [sum(requests for at, requests in one if at >= today) for one in asked]

    async def _asked_of(self, endpoint: Endpoint, *, alone: bool) -> list[tuple[float, int]]:
        """How many requests an endpoint was sent, by quarter hours (unix seconds).

        One that stands `alone` in its job counts all. Of several, each counts its own, and those of which it is not
        known where they went: they were in flight when a process died, or other processes of the run sent them.
        """
        spent = Counter({one.quarter: one.spent.requests for one in await self._spent()})
        if not alone:
            for one in await self.ledger.asked_since(self._since):
                spent[one.quarter] -= one.requests if one.endpoint != endpoint.mark else 0
        return [(DatedSpend.begin(quarter), max(0, requests)) for quarter, requests in spent.items()]

    async def _spent(self) -> list[DatedSpend]:
        """What was booked for the last days and, where the clock was ahead when it was sent, for days to come."""
        return await self.ledger.spent_since(self._since)

    @property
    def _since(self) -> int:
        return int((self.clock.wall() - REMEMBERED) * 1_000_000)


def refuse_unpriced(job: Job, facts: EndpointFacts) -> None:
    """Raise `JobError` where a budget in money cannot be kept, naming the cause: the price is asked for last."""
    if job.budget.usd is None or facts.price is not None:
        return
    raise JobError(
        facts.why_unpriced
        or f"budget.usd: no price is known for {job.model.name} at {facts.base_url}, so a budget in money cannot be "
        "kept: name model.price {prompt, completion} in USD per token, or use budget.tokens"
    )
