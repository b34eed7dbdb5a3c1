"""`TokenCounter`: the template's frame, the texts' tokens, and what usage records say, together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parquill.chat import ChatRequest, Turn
from parquill.job import ModelSettings
from parquill.tokens.estimator import FittedMeter
from parquill.tokens.exact import load_tokenizer
from parquill.tokens.ridge import Vector
from parquill.tokens.template import IMAGE_UPPER, TURN_TOKENS, Content, ImageCost, Opening, lay_content, lay_opening
from parquill.tokens.text import TextMeter, TextTokens
from parquill.tokens.usage_records import UsageRecords

Counts = int | npt.NDArray[np.int64]
"""One number for all requests, or one for each."""


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Prompt tokens of one request.

    `expected` is right on average; `upper` is a bound, never below the truth; `formula` is what was
    expected before usage records corrected it, which is what the next usage record is held against.
    """

    expected: int
    upper: int
    formula: float


@dataclass(frozen=True, slots=True)
class TokenEstimates:
    """The same of many requests, column by column."""

    expected: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    formula: npt.NDArray[np.float64]

    def __iter__(self) -> Iterator[TokenEstimate]:
        """Yield them one by one."""
        columns = self.expected.tolist(), self.upper.tolist(), self.formula.tolist()
        return itertools.starmap(TokenEstimate, zip(*columns, strict=True))

    def at(self, places: Sequence[int]) -> TokenEstimates:
        """Return those of some of the requests."""
        return TokenEstimates(self.expected[places], self.upper[places], self.formula[places])

    def put(self, places: Sequence[int], others: TokenEstimates) -> None:
        """Put in others at these places."""
        self.expected[places], self.upper[places], self.formula[places] = others.expected, others.upper, others.formula


_MARK = "\ue000text\ue000"
"""Stands for the text that requests differ by; of a private area, so that no text contains it."""


class TokenCounter:
    """Counts requests; the turns before the last are counted once and remembered."""

    def __init__(
        self,
        model: ModelSettings,
        *,
        image_style: ImageCost = ImageCost.FUSED,
        usage_records: UsageRecords | None = None,
        hidden_text: str = "",
        meter: TextMeter | None = None,
    ) -> None:
        """`hidden_text` is what a server may add to every prompt itself (tool definitions, a schema):
        it raises the upper bound only, until usage records show that it is counted. `meter` is one to
        share between counters, in place of the one that `model.tokenizer` asks for.

        Raises `JobError` when `model.tokenizer` cannot be used.
        """
        self.usage_records = usage_records if usage_records is not None else UsageRecords()
        self._meter = meter or (load_tokenizer(model.tokenizer) if model.tokenizer else FittedMeter())
        self._image_tokens = image_style.tokens
        self._fuses = image_style is ImageCost.FUSED
        self._hidden = self._meter.measure(hidden_text)[1] + 2 if hidden_text else 0
        self._turns: tuple[Turn, ...] | None = None
        self._opening: Opening = lay_opening(())
        self._opening_tokens = (0.0, 0)
        self._ahead: dict[str, TextTokens] = {}
        self._before: dict[str, TextTokens] = {}

    def error(self, rows: int, text: float, text_squares: float, images: int, worth: float = 1.0) -> float:
        """Standard error of the expected prompt tokens of so many requests together; 1.96 of it hold 95 %.

        `text` and `text_squares` are sums over the requests of their texts' tokens, and of their squares.
        Without usage records all texts share one error, and each has one of its own. `worth`: if there were so many
        times the usage records.
        """
        if rows and self.usage_records.count:
            return self.usage_records.error(rows, text, text_squares, images, worth)
        return math.hypot(self._meter.mean_error * text, self._meter.spread * math.sqrt(text_squares))

    @property
    def image_tokens(self) -> int:
        """Tokens of one picture, before newlines fuse."""
        return self._image_tokens

    def count(self, request: ChatRequest) -> TokenEstimate:
        """Expected prompt tokens of `request`, and their upper bound."""
        opening, content = self._lay_out(request)
        text, bound = self._opening_tokens
        for part in content.texts:
            expected, upper = self._ahead.get(part) or self._before.get(part) or self._meter.measure(part)
            text += expected
            bound += upper
        images, fused = content.images, content.fused
        return self._estimate(text, bound, images + opening.content.images, fused + opening.content.fused)

    def look_ahead(self, texts: Sequence[str]) -> None:
        """Measure texts that will be counted soon all at once, for a third of what one by one costs.

        Those of the last two calls are remembered; `count` measures any other when it comes.
        """
        expected, upper = self._meter.measure_many(texts)
        known = zip(expected.tolist(), upper.tolist(), strict=True)
        self._before, self._ahead = self._ahead, dict(zip(texts, known, strict=True))

    def count_requests(self, requests: Sequence[ChatRequest]) -> TokenEstimates:
        """The same as `count` for each, with all texts measured at once."""
        texts: list[str] = []
        ends: list[int] = []
        frames: list[tuple[int, int]] = []
        before: list[tuple[float, int]] = []
        for request in requests:
            opening, content = self._lay_out(request)
            texts += content.texts
            ends.append(len(texts))
            frames.append((content.images + opening.content.images, content.fused + opening.content.fused))
            before.append(self._opening_tokens)
        expected, upper = self._meter.measure_many(texts)
        images, fused = np.array(frames, np.int64).reshape(-1, 2).T
        text, bound = (np.array(column) for column in zip(*before, strict=True)) if before else (expected, upper)
        return self._estimates(text + _sums(expected, ends), bound + _sums(upper, ends), images, fused)

    def count_alike(self, texts: Sequence[str], request: Callable[[str], ChatRequest]) -> TokenEstimates:
        """The same for `request` of each text, where requests differ by that text alone: laid out once."""
        opening, content = self._lay_out(request(_MARK))
        marked = [text.split(_MARK) for text in content.texts if _MARK in text]
        if len(marked) != 1 or len(marked[0]) != 2:
            return self.count_requests([request(text) for text in texts])
        before, after = marked[0]
        trimmed = [f"{before}{text}{after}".strip() for text in texts]
        if not all(trimmed):  # an empty text is none, and newlines around it fuse
            return self.count_requests([request(text) for text in texts])
        expected, upper = self._meter.measure_many(trimmed)
        text, bound = self._opening_tokens
        for other in content.texts:
            if _MARK not in other:
                more, most = self._meter.measure(other)
                text, bound = text + more, bound + most
        images, fused = content.images + opening.content.images, content.fused + opening.content.fused
        return self._estimates(expected + text, upper + bound, images, fused)

    def observe(self, estimate: TokenEstimate, images: int, prompt_tokens: int, provider: str | None) -> bool:
        """Take a usage record: what the endpoint counted for a request that `count` had estimated.

        Returns True when it is above the estimate's upper bound: an alarm, and the bound is raised.
        """
        text = max(0.0, estimate.formula - images * self._image_tokens)
        self.usage_records.add(text, images, prompt_tokens - estimate.formula, provider)
        if prompt_tokens <= estimate.upper:
            return False
        self.usage_records.raise_upper(estimate.upper, prompt_tokens)
        return True

    def _lay_out(self, request: ChatRequest) -> tuple[Opening, Content]:
        turns = request.turns
        if turns[:-1] != self._turns:
            self._remember(turns[:-1])
        return self._opening, lay_content(turns[-1].parts, self._opening.newlines)

    def _remember(self, turns: tuple[Turn, ...]) -> None:
        self._turns = turns
        self._opening = lay_opening(turns)
        pairs = [self._meter.measure(text) for text in self._opening.content.texts]
        tokens = self._opening.tokens + TURN_TOKENS
        self._opening_tokens = tokens + sum(pair[0] for pair in pairs), tokens + sum(pair[1] for pair in pairs)

    def _estimate(self, text: float, bound: int, images: int, fused: int) -> TokenEstimate:
        formula, expected, most = self._corrected(text, bound, images, fused)
        upper = math.ceil(most)
        return TokenEstimate(max(1, min(round(expected), upper)), upper, formula)

    def _estimates(self, text: Vector, bound: npt.NDArray[np.int64], images: Counts, fused: Counts) -> TokenEstimates:
        """The same of many requests."""
        formula, expected, most = self._corrected(text, bound, images, fused)
        upper = np.ceil(most).astype(np.int64)
        return TokenEstimates(np.maximum(1, np.minimum(np.rint(expected).astype(np.int64), upper)), upper, formula)

    def _corrected(self, text: Any, bound: Any, images: Any, fused: Any) -> tuple[Any, Any, Any]:
        """Formula, expected tokens and bound, not in whole numbers yet: of one request, or of many in arrays."""
        formula = text + images * self._image_tokens
        if self._fuses:
            formula = formula - fused
        upper = bound + images * IMAGE_UPPER + self._hidden
        if not self.usage_records.count:
            return formula, formula, upper
        return (
            formula,
            formula + self.usage_records.correction.apply(text, images),
            upper * self.usage_records.upper_factor,
        )


def _sums(values: npt.NDArray[Any], ends: Sequence[int]) -> npt.NDArray[Any]:
    """Sum each stretch of `values` up to the next of `ends`."""
    totals = np.concatenate(([0], np.cumsum(values)))[np.concatenate(([0], np.array(ends, np.int64)))]
    return np.diff(totals)
