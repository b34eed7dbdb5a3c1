"""Prices each row to send, by the same rule as the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from parquill.estimation.counting import Counted
from parquill.prices import ATTO_PER_PICO, Price, Surplus

_REMEMBERED = 1 << 14
"""Requests of which the price is remembered: most have as many tokens as another one."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of rows, in pico-USD: what each is expected to cost, the share of it that is listed for its prompt, the worst."""

    expected: list[int]
    prompts: list[int]
    worst: list[int]


class RowPrices:
    """Prices rows."""

    def __init__(self, price: Price, surplus: Surplus, max_tokens: int) -> None:
        self._listed = lru_cache(_REMEMBERED)(price.cost_pico)
        self._worst = lru_cache(_REMEMBERED)(price.worst_pico)
        self._rate = price.rates.completion
        self._surplus = surplus
        self._max_tokens = max_tokens

    def of(self, rows: Counted) -> Costs:
        """Return what rows cost."""
        count, rate = len(rows.rows), self._rate
        answers, images = rows.answer_tokens.tolist(), rows.images.tolist()
        listed = [*map(self._listed, rows.tokens.expected.tolist(), answers, images)]
        return Costs(
            expected=[*map(self._surplus.applied, listed)] if self._surplus.rows else listed,
            prompts=[pico - rate * answer // ATTO_PER_PICO for pico, answer in zip(listed, answers, strict=True)],
            worst=[*map(self._worst, rows.tokens.upper.tolist(), [self._max_tokens] * count, images)],
        )
