"""`TokenCounter`: the template's frame, the texts' tokens, and what receipts say, together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parquill.chat import ChatRequest, Turn
from parquill.job import ModelSettings
from parquill.tokens.estimator import FittedMeter
from parquill.tokens.exact import load_tokenizer
from parquill.tokens.receipts import Receipts
from parquill.tokens.template import IMAGE_UPPER, TURN_TOKENS, ImageCost, Opening, lay_content, lay_opening
from parquill.tokens.text import ManyTokens, TextMeter


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Prompt tokens of one request.

    `expected` is right on average; `upper` is a bound, never below the truth; `formula` is what was
    expected before receipts corrected it, which is what the next receipt is held against.
    """

    expected: int
    upper: int
    formula: float


class TokenCounter:
    """Counts requests; the turns before the last are counted once and remembered."""

    def __init__(
        self,
        model: ModelSettings,
        *,
        image_style: ImageCost = ImageCost.FUSED,
        receipts: Receipts | None = None,
        hidden_text: str = "",
    ) -> None:
        """`hidden_text` is what a server may add to every prompt itself (tool definitions, a schema):
        it raises the upper bound only, until receipts show that it is counted.

        Raises `JobError` when `model.tokenizer` cannot be used.
        """
        self.receipts = receipts if receipts is not None else Receipts()
        self._meter: TextMeter = load_tokenizer(model.tokenizer) if model.tokenizer else FittedMeter()
        self._style = image_style
        self._hidden = self._meter.measure(hidden_text)[1] + 2 if hidden_text else 0
        self._turns: tuple[Turn, ...] | None = None
        self._opening: Opening = lay_opening(())
        self._opening_tokens = (0.0, 0)

    def count(self, request: ChatRequest) -> TokenEstimate:
        """Expected prompt tokens of `request`, and their upper bound."""
        turns = request.turns
        if turns[:-1] != self._turns:
            self._remember(turns[:-1])
        opening = self._opening
        content = lay_content(turns[-1].parts, opening.newlines)
        text, bound = self._opening_tokens
        for part in content.texts:
            expected, upper = self._meter.measure(part)
            text += expected
            bound += upper
        images, fused = content.images, content.fused
        return self._estimate(text, bound, images + opening.content.images, fused + opening.content.fused)

    def count_many(self, texts: Sequence[str]) -> ManyTokens:
        """Tokens of texts alone, many at once: expected (float64) and upper bounds (int64)."""
        return self._meter.measure_many(texts)

    def count_requests(self, requests: Sequence[ChatRequest]) -> list[TokenEstimate]:
        """The same as `count` for each, with all texts measured at once: for the dry run."""
        frames: list[tuple[float, int, int, int]] = []
        texts: list[str] = []
        owners: list[int] = []
        for index, request in enumerate(requests):
            turns = request.turns
            if turns[:-1] != self._turns:
                self._remember(turns[:-1])
            opening = self._opening
            content = lay_content(turns[-1].parts, opening.newlines)
            for text in content.texts:
                texts.append(text)
                owners.append(index)
            images, fused = content.images + opening.content.images, content.fused + opening.content.fused
            frames.append((*self._opening_tokens, images, fused))
        expected, upper = self._meter.measure_many(texts)
        sums = np.bincount(owners, expected, len(requests)) if texts else np.zeros(len(requests))
        bounds = np.zeros(len(requests), np.int64)
        np.add.at(bounds, owners, upper)
        return [
            self._estimate(text + more, bound + most, images, fused)
            for (text, bound, images, fused), more, most in zip(frames, sums.tolist(), bounds.tolist(), strict=True)
        ]

    def observe(self, estimate: TokenEstimate, images: int, prompt_tokens: int, provider: str | None) -> bool:
        """Take a receipt: what the endpoint counted for a request that `count` had estimated.

        Returns True when it is above the estimate's upper bound: an alarm, and the bound is raised.
        """
        text = max(0.0, estimate.formula - images * self._style.tokens)
        self.receipts.add(text, images, prompt_tokens - estimate.formula, provider)
        if prompt_tokens <= estimate.upper:
            return False
        self.receipts.raise_upper(estimate.upper, prompt_tokens)
        return True

    def _remember(self, turns: tuple[Turn, ...]) -> None:
        self._turns = turns
        self._opening = lay_opening(turns)
        pairs = [self._meter.measure(text) for text in self._opening.content.texts]
        tokens = self._opening.tokens + TURN_TOKENS
        self._opening_tokens = tokens + sum(pair[0] for pair in pairs), tokens + sum(pair[1] for pair in pairs)

    def _estimate(self, text: float, bound: int, images: int, fused: int) -> TokenEstimate:
        formula = text + images * self._style.tokens
        if self._style is ImageCost.FUSED:
            formula -= fused
        expected, upper = formula, bound + images * IMAGE_UPPER + self._hidden
        receipts = self.receipts
        if receipts.count:
            expected += receipts.correction.apply(text, images)
            upper = math.ceil(upper * receipts.upper_factor)
        return TokenEstimate(max(1, min(round(expected), upper)), upper, formula)
