"""Totals over the rows to send, and the 95 % interval around their cost.

Three things are not known: how the endpoint counts prompts, how long its answers will be, and what rows cost
beyond one answer (second tries, lost replies, discounts). Of each there is a standard error of the sum over
all rows to send, from usage records or from a prior (`TokenCounter.error`, `AnswerLength.error`, `Surplus.error`);
they are independent, so variances add. Where several providers may answer, the interval reaches from the
cheapest to the most expensive of them. The statistics are floats; from tokens on, money is integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt

from parquill.estimation.estimate import Cost
from parquill.prices import ATTO_PER_PICO, Price, Rates, Surplus
from parquill.summary import TokenCounts
from parquill.tokens import AnswerLength, TokenCounter

SIGMAS = 2.15
"""Standard deviations within which 95 % are to lie. Of a normal distribution 1.96 would do; lengths of answers are
skewed, and fifty of them show too little of their tail (`python -m benchmarks.intervals` measures both)."""


@dataclass(slots=True)
class GroupSums:
    """Sums over the rows to send of one value of a column."""

    rows: int = 0
    prompt_tokens: int = 0
    answer_tokens: float = 0.0
    prompt_pico: int = 0
    """The prompts' and requests' expected cost, tiers and all; answers come on top."""

    def add(self, prompt_tokens: int, answer_tokens: float, prompt_pico: int) -> None:
        """Add a row's expected tokens, and its prompt's cost."""
        self.rows += 1
        self.prompt_tokens += prompt_tokens
        self.answer_tokens += answer_tokens
        self.prompt_pico += prompt_pico

    @property
    def tokens(self) -> TokenCounts:
        """Expected tokens."""
        return TokenCounts(self.prompt_tokens, round(self.answer_tokens))


@dataclass(slots=True)
class Sums(GroupSums):
    """The same over all rows to send, and what their interval needs."""

    images: int = 0
    worst_pico: int = 0
    text_tokens: float = 0.0
    """Of the prompts, what stands in texts: pictures are known exactly."""
    text_squares: float = 0.0

    def add_rows(
        self,
        prompts: npt.NDArray[np.int64],
        answers: npt.NDArray[np.float64],
        prompts_pico: Sequence[int],
        texts: npt.NDArray[np.float64],
        images: npt.NDArray[np.int64],
    ) -> None:
        """Add rows: of each its expected tokens, its prompt's cost, and what its prompt is made of."""
        self.rows += len(prompts)
        self.prompt_tokens += int(prompts.sum())
        self.answer_tokens += float(answers.sum())
        self.prompt_pico += sum(prompts_pico)
        self.images += int(images.sum())
        self.text_tokens += float(texts.sum())
        self.text_squares += float(texts @ texts)


@dataclass(frozen=True, slots=True)
class Errors:
    """Standard errors of the expected tokens of all rows to send together; 1.96 of them hold 95 %."""

    prompt: float = 0.0
    answer: float = 0.0

    @classmethod
    def of(cls, sums: Sums, counter: TokenCounter, length: AnswerLength, worth: float = 1.0) -> Errors:
        """Return them as usage records tell them, or as `worth` times as many such usage records would."""
        return cls(
            counter.error(sums.rows, sums.text_tokens, sums.text_squares, sums.images, worth),
            length.error(sums.rows, sums.prompt_tokens, sums.images, worth),
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the rows, with what is known of errors, prices, and what rows cost beyond one answer."""

    sums: Sums
    errors: Errors
    price: Price | None
    surplus: Surplus = field(default_factory=Surplus)
    worth: float = 1.0
    """So many times the rows behind `surplus` are taken as seen."""

    def expected_pico(self, sums: GroupSums) -> int | None:
        """Expected cost of rows; None where no price is known."""
        listed = self._listed_pico(sums)
        return None if listed is None else self.surplus.applied(listed)

    def cost(self) -> Cost | None:
        """The cost of all rows to send, and its interval; None where no price is known."""
        expected = self.expected_pico(self.sums)
        if self.price is None or expected is None:
            return None
        half = self.half_pico
        cheapest, highest = _span(self.price)
        low = min(expected, self._at(cheapest, expected)) - half
        high = max(expected, self._at(highest, expected)) + half
        worst = max(self.sums.worst_pico, expected)
        return Cost(expected, max(0, low), min(high, worst), worst)

    @property
    def half_pico(self) -> int:
        """Half of the interval in pico-USD, at the expected rates; 0 where no price is known."""
        listed = self._listed_pico(self.sums)
        if self.price is None or listed is None:
            return 0
        rates, errors = self.price.rates, self.errors
        tokens = (rates.prompt * math.ceil(SIGMAS * errors.prompt)) ** 2
        tokens += (rates.completion * math.ceil(SIGMAS * errors.answer)) ** 2
        beyond = math.ceil(SIGMAS * self.surplus.error(self.sums.rows, listed, self.worth))
        return math.isqrt((self.surplus.applied(math.isqrt(tokens)) // ATTO_PER_PICO) ** 2 + beyond**2)

    def _listed_pico(self, sums: GroupSums) -> int | None:
        if self.price is None:
            return None
        return sums.prompt_pico + self.price.rates.completion * sums.tokens.completion // ATTO_PER_PICO

    def _at(self, rates: Rates | None, expected: int) -> int:
        """The same work at other rates."""
        if rates is None:
            return expected
        sums = self.sums
        atto = rates.atto(sums.prompt_tokens, sums.tokens.completion)
        atto += (sums.rows - 1) * rates.request + sums.images * rates.image
        return self.surplus.applied(atto // ATTO_PER_PICO)


def _span(price: Price) -> tuple[Rates | None, Rates | None]:
    """The cheapest and the most expensive rates a request may meet; None where one provider is expected to answer."""
    offers = [offer.rates for offer in price.offers if offer.healthy]
    if len(offers) < 2 or price.rates in offers:
        return None, None
    return reduce(_lower, offers), reduce(Rates.upper, offers)


def _lower(one: Rates, other: Rates) -> Rates:
    return Rates(
        min(one.prompt, other.prompt),
        min(one.completion, other.completion),
        min(one.request, other.request),
        min(one.image, other.image),
    )
