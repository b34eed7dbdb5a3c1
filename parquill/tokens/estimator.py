"""Texts counted without the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parquill.tokens.text import ManyTokens, TextTokens


class FittedMeter:
    """A `TextMeter` fitted on Gemma 3's tokenizer."""

    mean_error = 0.05
    spread = 0.2

    def measure(self, text: str) -> TextTokens:
        size = len(text.encode("utf-8", "surrogatepass"))
        return 0.22 * len(text) + 0.2 * (size - len(text)), size

    def measure_many(self, texts: Sequence[str]) -> ManyTokens:
        pairs = [self.measure(text) for text in texts]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs], np.int64)
