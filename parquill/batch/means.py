"""What a run may still use: its limits and its budget, less what the ledger says is spent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from parquill.budget import Budget
from parquill.chat import PICO
from parquill.clock import Clock
from parquill.job import Job, zone
from parquill.ledger import Ledger, Spend
from parquill.limits import Gate


@dataclass(frozen=True, slots=True)
class Means:
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
        spent = await (self.ledger.totals(run) if settings.per == "run" else self._spent_today(settings.timezone))
        return Budget.from_settings(settings, spent_pico=spent.pico, spent_tokens=spent.tokens)

    async def gate(self, run: int, *, crowded: bool, sharers: int) -> Gate:
        """The gate, with what this run and this day have used already."""
        used, budget = await self.day_used(), await self.budget(run)
        return Gate(self.job.limits, budget, self.clock, day_used=used, crowded=crowded, sharers=sharers)

    async def day_used(self) -> int:
        """Requests of this UTC day."""
        return (await self._spent_today("UTC")).requests

    async def _spent_today(self, timezone: str) -> Spend:
        now = dt.datetime.fromtimestamp(self.clock.wall(), zone(timezone))
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return await self.ledger.spent_between(_micros(midnight.timestamp()), _micros(now.timestamp()) + 1)


def _micros(seconds: float) -> int:
    return int(seconds * 1_000_000)
