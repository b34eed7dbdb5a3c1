"""Figures of the output: every sum, count and distribution on the page, added up batch by batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from parquill.histogram import Histogram
from parquill.report.fields import AnswerFigures
from parquill.report.time_buckets import RunTimeline
from parquill.results import pico_values


@dataclass(slots=True)
class Sums:
    """What a group of rows comes to; money in pico-USD."""

    rows: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_pico: int = 0

    def add(self, numbers: Numbers, where: np.ndarray[Any, Any]) -> None:
        """Add the rows of a batch for which `where` is true."""
        self.rows += int(where.sum())
        self.requests += int(numbers.attempts[where].sum())
        self.prompt_tokens += int(numbers.prompt[where].sum())
        self.completion_tokens += int(numbers.completion[where].sum())
        self.cost_pico += int(numbers.cost[where].sum())


@dataclass(slots=True)
class Pictures:
    """What the pictures that were opened here weigh together; sizes in bytes."""

    count: int = 0
    fetched: int = 0
    sent: int = 0

    def add(self, column: pa.Array) -> None:
        """Add the pictures of a batch's column `images`."""
        sizes = pc.list_flatten(column)
        fetched, sent = (pc.struct_field(sizes, name) for name in ("bytes_fetched", "bytes_sent"))
        self.count += len(fetched) - fetched.null_count
        self.fetched += pc.sum(fetched).as_py() or 0
        self.sent += pc.sum(sent).as_py() or 0


class Numbers:
    """The number columns of one batch as arrays; null counts as 0, `sent` tells rows that were asked."""

    __slots__ = ("attempts", "completion", "cost", "estimated", "finished", "latency", "priced", "prompt", "sent")

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.attempts = _integers(batch.column("attempts"))
        self.prompt = _integers(batch.column("prompt_tokens"))
        self.completion = _integers(batch.column("completion_tokens"))
        self.latency = _integers(batch.column("latency_ms"))
        self.finished = _integers(batch.column("finished_at").cast(pa.int64()))
        self.cost = pico_values(batch.column("cost_usd"))
        self.estimated = pico_values(batch.column("estimated_cost_usd"))
        self.priced = ~_booleans(batch.column("cost_usd").is_null())
        self.sent = self.attempts > 0


class OutputFigures:
    """Figures over all rows that were added."""

    def __init__(self) -> None:
        self.all = Sums()
        self.by_status: dict[str, Sums] = {}
        self.by_kind: dict[str, Sums] = {}
        self.by_provider: dict[tuple[str, str], Sums] = {}
        self.unpriced = 0
        """Rows that were sent and whose cost is unknown."""
        self.estimated_pico = 0
        self.sources: Counter[str] = Counter()
        self.finishes: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.latency, self.prompt, self.completion, self.cost = Histogram(), Histogram(), Histogram(), Histogram()
        self.answers = AnswerFigures()
        self.pictures = Pictures()
        self.rhythm = RunTimeline()

    def add(self, batch: pa.RecordBatch, numbers: Numbers) -> None:
        """Take in the next rows of the output."""
        sent = numbers.sent
        self.all.add(numbers, np.ones(len(sent), dtype=bool))
        self.unpriced += int((sent & ~numbers.priced).sum())
        self.estimated_pico += int(numbers.estimated.sum())
        for name, counter in (("cost_source", self.sources), ("finish_reason", self.finishes)):
            counter.update(_counts(batch.column(name)))
        self.repairs.update(_counts(pc.list_flatten(batch.column("answer_repairs"))))
        _group(self.by_status, [batch.column("status")], numbers)
        _group(self.by_kind, [batch.column("error_kind")], numbers)
        _group(self.by_provider, [batch.column("provider"), batch.column("model")], numbers)
        self._add_spreads(numbers)
        self.answers.add(batch.column("answer"))
        if "images" in batch.schema.names:  # parts of an earlier version lack it
            self.pictures.add(batch.column("images"))

    def _add_spreads(self, numbers: Numbers) -> None:
        sent = numbers.sent
        self.latency.add_array(numbers.latency[sent & (numbers.latency > 0)])
        self.prompt.add_array(numbers.prompt[sent])
        self.completion.add_array(numbers.completion[sent])
        self.cost.add_array(numbers.cost[sent & numbers.priced])
        timed = sent & (numbers.finished > 0)
        if timed.any():
            tokens = (numbers.prompt + numbers.completion)[timed]
            self.rhythm.add(numbers.finished[timed], numbers.cost[timed], tokens)


@dataclass(frozen=True, slots=True)
class Collected:
    """The whole output: its columns, figures, and the rows that are shown."""

    key_column: str
    kept_columns: tuple[str, ...]
    bulky_columns: tuple[str, ...]
    """Kept columns of bytes, which are in no sampled row."""
    figures: OutputFigures
    samples: Any = field(repr=False)


def _integers(column: pa.Array) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = column.fill_null(0).to_numpy(zero_copy_only=False)
    return array.astype(np.int64)


def _booleans(column: pa.Array) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False)
    return array.astype(bool)


def _counts(column: pa.Array) -> dict[str, int]:
    return {str(entry["values"]): entry["counts"] for entry in pc.value_counts(column.drop_null()).to_pylist()}


def _group(groups: dict[Any, Sums], columns: list[pa.Array], numbers: Numbers) -> None:
    """Add a batch to the sums of its groups; rows with a null in the first column belong to none."""
    texts = [column.fill_null("").to_numpy(zero_copy_only=False) for column in columns]
    known = _booleans(columns[0].is_valid())
    for values in {tuple(row) for row in zip(*(text[known] for text in texts), strict=True)}:
        where = known.copy()
        for text, value in zip(texts, values, strict=True):
            where &= text == value
        groups.setdefault(values if len(values) > 1 else values[0], Sums()).add(numbers, where)
