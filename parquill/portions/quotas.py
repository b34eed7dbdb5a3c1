"""Divides limits and budget among processes: pure functions on whole numbers, no sum passes the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from parquill.job import BudgetSettings, LimitSettings
from parquill.money import to_pico


@dataclass(frozen=True, slots=True)
class Available:
    """What is left of a run's limits and budget for all of its processes; None: without that limit."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    requests_today: int | None
    max_in_flight: int | Literal["auto"]
    pico: int | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Quota:
    """What one process may use; `limits` and `budget` in the job's own form."""

    limits: LimitSettings
    budget: BudgetSettings

    @property
    def pico(self) -> int:
        """The money in it; 0 without a cap."""
        return 0 if self.budget.usd is None else to_pico(self.budget.usd)


def most_quotas(free: Available, wanted: int) -> int:
    """Return how many shares there can be, so that each has at least one of everything."""
    scarce = (free.requests_per_minute, free.tokens_per_minute, free.requests_today, free.pico, free.tokens)
    slots = None if free.max_in_flight == "auto" else free.max_in_flight
    return min([wanted, *(amount for amount in (*scarce, slots) if amount is not None)])


def divide_quotas(free: Available, count: int) -> tuple[Quota, ...]:
    """Share what is free out among `count` processes, at most `most_quotas` of them."""
    slots: Sequence[int | Literal["auto"] | None] = ["auto"] * count
    if free.max_in_flight != "auto":
        slots = _divide(free.max_in_flight, count)
    columns = zip(
        _divide(free.requests_per_minute, count),
        _divide(free.tokens_per_minute, count),
        _divide(free.requests_today, count),
        slots,
        _divide(free.pico, count),
        _divide(free.tokens, count),
        strict=True,
    )
    return tuple(
        Quota(
            LimitSettings.model_construct(
                {"requests_per_minute", "tokens_per_minute", "requests_per_day", "max_in_flight"},
                requests_per_minute=requests,
                tokens_per_minute=tokens,
                requests_per_day=today,
                max_in_flight=slot,
            ),
            BudgetSettings.model_construct(
                {"usd", "tokens"}, usd=None if pico is None else Decimal(pico).scaleb(-12), tokens=bought
            ),
        )
        for requests, tokens, today, slot, pico, bought in columns
    )


def _divide(amount: int | None, count: int) -> list[int | None]:
    """Whole numbers that differ by at most one and whose sum is the amount."""
    if amount is None:
        return [None] * count
    each, rest = divmod(amount, count)
    return [each + (number < rest) for number in range(count)]
