"""Builds what a run may still use: its limits and its budget, less what the ledger has booked."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass

from parquill.budget import Budget
from parquill.chat import PICO
from parquill.clock import Clock
from parquill.days import UTC_DAY, day_at
from parquill.endpoint import EndpointFacts
from parquill.errors import JobError
from parquill.job import Job
from parquill.ledger import DatedSpend, Ledger
from parquill.limits import Gate, Look
from parquill.open_files import most_in_flight

log = logging.getLogger(__name__)

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
        return None if self.job.budget.usd is None else int(self.job.budget.usd * PICO)

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

    async def gate(self, run: int, look: Look, *, crowded: bool, sharers: int) -> Gate:
        """The gate, with what this run and this day have used already; `look`: whether the endpoint is there."""
        earlier = [(one.at, one.spent.requests) for one in await self._spent()]
        budget = await self.budget(run)
        limits, most = self.job.limits, most_in_flight()
        if most is not None and isinstance(limits.max_in_flight, int) and limits.max_in_flight > most:
            log.warning(
                "limits.max_in_flight is %d, but this process may open only so many files that %d requests are in "
                "flight at once; raise the limit (ulimit -n)",
                limits.max_in_flight,
                most,
            )
        return Gate(
            limits,
            budget,
            self.clock,
            earlier=earlier,
            crowded=crowded,
            sharers=sharers,
            most_slots=most,
            give_up=self.job.retry.give_up_seconds,
            look=look,
        )

    async def day_used(self) -> int:
        """Requests of this UTC day, and of later ones where the clock was ahead."""
        today = day_at(self.clock.wall(), dt.UTC).start
        return sum(one.spent.requests for one in await self._spent() if one.at >= today)

    async def _spent(self) -> list[DatedSpend]:
        """What was booked for the last days and, where the clock was ahead when it was sent, for days to come."""
        return await self.ledger.spent_since(int((self.clock.wall() - REMEMBERED) * 1_000_000))


def refuse_unpriced(job: Job, facts: EndpointFacts) -> None:
    """Raise `JobError` where a budget in money cannot be kept, naming the cause: the price is asked for last."""
    if job.budget.usd is None or facts.price is not None:
        return
    raise JobError(
        facts.why_unpriced
        or f"budget.usd: no price is known for {job.model.name} at {facts.base_url}, so a budget in money cannot be "
        "kept: name model.price {prompt, completion} in USD per token, or use budget.tokens"
    )
