"""Counts tokens of the rows that a run would ask, column by column: prompt, and expected answer.

A request is laid out by the run's own code (`Asking.request`, `TokenCounter`), once for all rows of a chunk
whose parts are equal, since those differ by their text alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from parquill.answers import fallback_order
from parquill.calibration import CalibrationData
from parquill.chat import ChatRequest, ImagePart
from parquill.endpoint import EndpointFacts
from parquill.errors import ErrorKind
from parquill.estimation.attachments import Parts
from parquill.planning import Prepared, PreparedRows
from parquill.tokens import TokenEstimates

_PICTURE = ImagePart("data:,")


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows with their requests' tokens, pictures, and the tokens that their answers are expected to have."""

    rows: PreparedRows
    images: npt.NDArray[np.int64]
    tokens: TokenEstimates
    answers: npt.NDArray[np.float64]

    @property
    def answer_tokens(self) -> npt.NDArray[np.int64]:
        """The answers' tokens in whole numbers, as the run reserves and prices them."""
        return np.rint(self.answers).astype(np.int64)

    def at(self, places: Sequence[int]) -> Counted:
        """Return some of the rows."""
        return Counted(self.rows.at(places), self.images[places], self.tokens.at(places), self.answers[places])


class Counting:
    """Counts rows by what earlier runs learnt."""

    def __init__(self, opened: Prepared, facts: EndpointFacts, calibration_data: CalibrationData) -> None:
        self._asking = opened.asking
        self._facts = facts
        self._counter = calibration_data.counter
        self._length = calibration_data.length
        self._max_tokens = opened.job.model.max_tokens
        minutes = [one.limits.tokens_per_minute for one in opened.job.each]
        self._per_minute = None if None in minutes else max(one for one in minutes if one is not None)
        output_mode = fallback_order(opened.job.output.mode, facts.parameters, opened.shape.kind)[0]
        self._instruction = opened.shape.instruction_for(output_mode)

    def count(self, rows: PreparedRows, parts: Sequence[Parts]) -> Counted:
        """Count rows; `parts` are each one's own."""
        alike: dict[Parts, list[int]] = {}
        for place, one in enumerate(parts):
            alike.setdefault(one, []).append(place)
        images = np.array([one.count(None) for one in parts], np.int64)
        size = len(rows)
        tokens = TokenEstimates(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.float64))
        for one, places in alike.items():
            texts = rows.at(places).texts
            tokens.put(places, self._counter.count_alike(texts, partial(self._request, parts=one)))
        return Counted(rows, images, tokens, self._length.expect_all(tokens.expected, images))

    def faults(self, counted: Counted) -> list[ErrorKind | None]:
        """Return for each row why it would not be sent, by the run's own rules; nothing where all would be."""
        prompts, answers = counted.tokens.expected, counted.answer_tokens
        if not len(prompts) or self._never(int(prompts.max()), int(answers.max())) is None:
            return []
        return [*map(self._never, prompts.tolist(), answers.tolist())]

    def _request(self, text: str, parts: Parts) -> ChatRequest:
        return self._asking.request(text, [_PICTURE if part is None else part for part in parts], self._instruction)

    def _never(self, prompt: int, answer: int) -> ErrorKind | None:
        """Why a request would not be sent; what holds for one holds for every longer one."""
        if self._facts.overflow(prompt, self._max_tokens) is not None:
            return ErrorKind.CONTEXT_OVERFLOW
        most = self._per_minute
        return ErrorKind.RATE_LIMITED if most is not None and prompt + answer > most else None
