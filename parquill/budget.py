"""The budget: reserves the worst case, settles the real cost, releases what was not sent.

Integers only: money in pico-USD (10**-12 USD), tokens beside it; either cap may be absent.
Invariants, for every interleaving of calls:

- `spent + reserved <= cap` after each `reserve`; a reservation that does not fit is refused.
- `settle` and `release` take back exactly what `reserve` took, so when nothing is outstanding
  the reserved sums are zero.
- What was really spent is booked in full, even above the reservation: that sets `alarm`, since
  only a wrong worst case can carry spending past the cap.

A cap per day starts anew at local midnight. What a request cost counts on the day on which it was
sent, as in the ledger; until it is settled its reservation counts on the present day too. A clock
that is set back opens no day again: see `days.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from parquill.days import DaySums
from parquill.job import BudgetSettings, zone
from parquill.money import to_pico, usd


class Budget:
    """Caps, what is spent and what is reserved. Not thread-safe; one event loop owns it."""

    __slots__ = (
        "_days",
        "_per",
        "alarm",
        "cap_pico",
        "cap_tokens",
        "daily",
        "outstanding",
        "reserved_pico",
        "reserved_tokens",
        "spent_pico",
        "spent_tokens",
    )

    def __init__(
        self,
        *,
        cap_pico: int | None = None,
        cap_tokens: int | None = None,
        spent_pico: int = 0,
        spent_tokens: int = 0,
        per: Literal["run", "day"] = "run",
        timezone: str = "UTC",
        earlier: Iterable[tuple[float, tuple[int, int]]] = (),
    ) -> None:
        """Go on with what the run (or, `per` day, today) has spent already.

        `earlier`, for a cap per day: what was spent in pico-USD and tokens, with the time (unix seconds) at which
        it was sent. Raises `ValueError` for a negative sum.
        """
        if min(cap_pico or 0, cap_tokens or 0, spent_pico, spent_tokens) < 0:
            raise ValueError("caps and spent sums are not negative")
        self.cap_pico = cap_pico
        self.cap_tokens = cap_tokens
        self.spent_pico = spent_pico
        self.spent_tokens = spent_tokens
        self.reserved_pico = 0
        self.reserved_tokens = 0
        self.outstanding = 0
        self.alarm: str | None = None
        self.daily = per == "day" and (cap_pico is not None or cap_tokens is not None)
        """Whether a cap starts anew each day."""
        self._per = per
        self._days = DaySums(zone(timezone), 2, earlier)

    @classmethod
    def from_settings(
        cls,
        settings: BudgetSettings,
        *,
        spent_pico: int = 0,
        spent_tokens: int = 0,
        earlier: Iterable[tuple[float, tuple[int, int]]] = (),
    ) -> Budget:
        """Make the budget of a job; fractions of a pico-dollar in the cap are cut off."""
        return cls(
            cap_pico=None if settings.usd is None else to_pico(settings.usd),
            cap_tokens=settings.tokens,
            spent_pico=spent_pico,
            spent_tokens=spent_tokens,
            per=settings.per,
            timezone=settings.timezone,
            earlier=earlier,
        )

    @property
    def is_over(self) -> bool:
        """Whether what is spent and reserved does not fit, as after a turn to a day on which much was spent before."""
        over = self.cap_pico is not None and self.spent_pico + self.reserved_pico > self.cap_pico
        return over or (self.cap_tokens is not None and self.spent_tokens + self.reserved_tokens > self.cap_tokens)

    @property
    def day(self) -> float | None:
        """When the present day began (unix seconds); None without a cap per day, or before `turn_day`."""
        return None if not self.daily or self._days.day is None else self._days.day.start

    @property
    def free_pico(self) -> int | None:
        """Money neither spent nor reserved; None without a cap, never below zero."""
        return None if self.cap_pico is None else max(0, self.cap_pico - self.spent_pico - self.reserved_pico)

    @property
    def free_tokens(self) -> int | None:
        """Tokens neither spent nor reserved; None without a cap, never below zero."""
        return None if self.cap_tokens is None else max(0, self.cap_tokens - self.spent_tokens - self.reserved_tokens)

    def reserve(self, pico: int, tokens: int) -> bool:
        """Hold a worst case until it is settled or released; False, and nothing held, if it does not fit.

        Raises `ValueError` for a negative worst case.
        """
        if pico < 0 or tokens < 0:
            raise ValueError("a worst case is not negative")
        if self.cap_pico is not None and self.spent_pico + self.reserved_pico + pico > self.cap_pico:
            return False
        if self.cap_tokens is not None and self.spent_tokens + self.reserved_tokens + tokens > self.cap_tokens:
            return False
        self.reserved_pico += pico
        self.reserved_tokens += tokens
        self.outstanding += 1
        return True

    def release(self, pico: int, tokens: int) -> None:
        """Give a reservation back: its request was not sent."""
        if not self.outstanding or pico > self.reserved_pico or tokens > self.reserved_tokens:
            raise ValueError("more is given back than was reserved")
        self.reserved_pico -= pico
        self.reserved_tokens -= tokens
        self.outstanding -= 1

    def settle(self, pico: int, tokens: int, *, cost_pico: int, used_tokens: int, sent_on: float | None = None) -> None:
        """Turn the reservation of `pico` and `tokens` into what the request really took.

        `sent_on`: what `day` was when it was sent; None, the present day. A cost above a reservation under a cap
        is booked too, and sets `alarm` for good.
        """
        if cost_pico < 0 or used_tokens < 0:
            raise ValueError("a cost is not negative")
        self.release(pico, tokens)
        today = self.day
        if today is None or sent_on is None or sent_on >= today:
            self.spent_pico += cost_pico
            self.spent_tokens += used_tokens
        if today is not None:
            self._days.add(today if sent_on is None else sent_on, cost_pico, used_tokens)
        if self.alarm is None:
            if self.cap_pico is not None and cost_pico > pico:
                self.alarm = (
                    f"a request cost ${usd(cost_pico)} though at most ${usd(pico)} was expected: "
                    "check the price and the model's limits before going on"
                )
            elif self.cap_tokens is not None and used_tokens > tokens:
                self.alarm = (
                    f"a request took {used_tokens} tokens though at most {tokens} were expected: "
                    "check the token estimate before going on"
                )

    def refusal(self, pico: int, tokens: int) -> str:
        """Say in words why a worst case of `pico` and `tokens` does not fit."""
        parts = []
        if self.cap_pico is not None:
            parts.append(
                f"cap ${usd(self.cap_pico)}, spent ${usd(self.spent_pico)}, reserved ${usd(self.reserved_pico)}, "
                f"the next row's worst case ${usd(pico)}"
            )
        if self.cap_tokens is not None:
            parts.append(
                f"cap {self.cap_tokens} tokens, spent {self.spent_tokens}, reserved {self.reserved_tokens}, "
                f"the next row's worst case {tokens}"
            )
        when = " of the day" if self._per == "day" else ""
        return f"the budget{when} is used up: {'; '.join(parts)}"

    def turn_day(self, wall: float) -> float | None:
        """Make the day of `wall` (unix seconds) the present one, whether the clock ran, jumped or was set back.

        Returns when that day ends (unix seconds); None without a cap per day.
        """
        if not self.daily:
            return None
        days = self._days
        if days.is_over(wall):
            first, before = days.day is None, (self.spent_pico, self.spent_tokens)
            self.spent_pico, self.spent_tokens = days.turn(wall)
            assert days.day is not None
            if first and any(before):
                days.add(days.day.start, *before)
                self.spent_pico += before[0]
                self.spent_tokens += before[1]
        assert days.day is not None
        return days.day.end
