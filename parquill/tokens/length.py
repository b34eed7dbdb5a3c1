"""How long answers will be: from this job's receipts, else from the schema's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class LengthEstimate:
    """Completion tokens of one answer.

    `spread` is the standard deviation of one answer, `mean_error` the standard error of `expected`:
    n answers together are n x expected, give or take sqrt(n x spread**2 + (n x mean_error)**2).
    """

    expected: float
    spread: float
    mean_error: float
    source: Literal["receipts", "schema", "limit"]


class AnswerLength:
    """The expected length of answers, learning from each one."""

    def __init__(self, max_tokens: int, schema: Mapping[str, Any] | None = None) -> None:
        self._max_tokens = max_tokens
        self._schema = schema

    def estimate(self) -> LengthEstimate:
        """What to expect of the next answer."""
        half = self._max_tokens / 2
        return LengthEstimate(half, half / 2, half / 2, "limit")
