"""Interface of the two ways to count a text: the tokenizer and the fitted table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

TextTokens = tuple[float, int]
"""Tokens of one text: what is expected, and a bound that is never below the truth."""

ManyTokens = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""The same for many texts: expected tokens and upper bounds, one of each for every text."""


class TextMeter(Protocol):
    """Counts the tokens of texts alone, without turns, pictures or a beginning-of-text token."""

    @property
    def mean_error(self) -> float:
        """Standard error of a whole job's expected tokens, as a share of them."""

    @property
    def spread(self) -> float:
        """Standard deviation of one text's error, as a share of its tokens."""

    def measure(self, text: str) -> TextTokens:
        """Tokens of one text."""

    def measure_many(self, texts: Sequence[str]) -> ManyTokens:
        """Tokens of many texts at once."""
