"""Every row once, in order: what becomes of it, how many tokens it has, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from parquill.answers import ladder
from parquill.batch.endpoint import EndpointFacts
from parquill.batch.lessons import Lessons
from parquill.batch.prepare import Prepared
from parquill.batch.rows import PreparedRow
from parquill.chat import ChatRequest, ImagePart
from parquill.costs import Quantiles
from parquill.errors import ErrorKind, RowError
from parquill.estimate.lines import Figures, LineWriter
from parquill.estimate.opening import Parts, PartsOf
from parquill.estimate.planning import FAILING, Sorted, Sorter
from parquill.estimate.sums import GroupSums, Sums
from parquill.storage import ByteSink
from parquill.tokens import TokenEstimate
from parquill.words import language_group

_BATCH = 2_048
"""Rows counted at once: enough to share the cost, few enough to stay in the cache."""

MOST_GROUPS = 10_000
"""Values of a column that are told apart; later ones are summed as one."""
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Ask:
    """A row with the request it would send, its pictures counted."""

    row: PreparedRow
    request: ChatRequest
    images: int


class Walk:
    """One pass over a manifest; `write` does it, the attributes tell what was found."""

    def __init__(
        self,
        opened: Prepared,
        facts: EndpointFacts,
        lessons: Lessons,
        sorter: Sorter,
        parts: PartsOf,
        *,
        by: str | None,
    ) -> None:
        self._opened = opened
        self._facts = facts
        self._counter = lessons.counter
        self._length = lessons.length
        self._surplus = lessons.surplus
        self._sorter = sorter
        self._parts = parts
        self._by = by
        rung = ladder(opened.job.output.mode, facts.parameters, opened.shape)[0]
        self._instruction = opened.shape.instruction_for(rung)
        self._image_tokens = lessons.counter.image_tokens
        self.states: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.sums = Sums()
        self.costs = Quantiles()
        self.groups: dict[str, GroupSums] = {}

    def write(self, sink: ByteSink) -> None:
        """Go through the manifest and write each row's line."""
        columns = self._opened.manifest.columns
        names = (columns.key.name,) if columns.has_id else columns.copied[:1]
        with LineWriter(sink, self._opened.manifest) as lines:
            for chunk in self._sorter.chunks(tuple(dict.fromkeys([*names, *([self._by] if self._by else [])]))):
                found = self._weigh(chunk)
                self.states.update(chunk.states)
                lines.add(chunk, found)

    def _weigh(self, rows: Sorted) -> Figures:
        """Count a chunk's rows to ask; rows that turn out to be certain to fail change their state."""
        found, start = Figures(), rows.chunk.start
        for row in rows.faulty:
            assert row.fault is not None
            self._fail(rows, found, row, row.fault.kind)
        values = rows.chunk.table.column(self._by).to_pylist() if self._by and rows.asked else None
        for first in range(0, len(rows.asked), _BATCH):
            asks = self._requests(rows, found, rows.asked[first : first + _BATCH])
            estimates = self._counter.count_requests([ask.request for ask in asks])
            for ask, estimate in zip(asks, estimates, strict=True):
                answer = self._length.expect(estimate.expected, ask.images)
                if kind := self._never(estimate, answer):
                    self._fail(rows, found, ask.row, kind)
                    continue
                place = ask.row.row - start
                pico = self._add(found, place, ask, estimate, answer)
                if values is not None:
                    self._group(values[place], estimate.expected, answer, pico)
        return found

    def _requests(self, rows: Sorted, found: Figures, asked: Sequence[PreparedRow]) -> list[Ask]:
        asks: list[Ask] = []
        request, instruction = self._opened.asking.request, self._instruction
        for row, parts in zip(asked, self._parts.all(asked), strict=True):
            if isinstance(parts, RowError):
                self._fail(rows, found, row, parts.kind)
            else:
                asks.append(Ask(row, request(row.text, parts, instruction), _images(parts)))
        return asks

    def _never(self, estimate: TokenEstimate, answer: float) -> ErrorKind | None:
        """Why a request would not be sent, by the run's own rules."""
        if self._facts.overflow(estimate.expected, self._opened.job.model.max_tokens) is not None:
            return ErrorKind.CONTEXT_OVERFLOW
        most = self._opened.job.limits.tokens_per_minute
        return ErrorKind.RATE_LIMITED if most is not None and estimate.expected + round(answer) > most else None

    def _fail(self, rows: Sorted, found: Figures, row: PreparedRow, kind: ErrorKind) -> None:
        place = row.row - rows.chunk.start
        rows.states[place] = FAILING
        found.faults[place] = kind.value
        self.faults[kind.value] += 1

    def _add(self, found: Figures, place: int, ask: Ask, estimate: TokenEstimate, answer: float) -> int:
        """Add a row to send to the sums, and its line; returns its prompt's cost."""
        sums, price, expected, images = self.sums, self._facts.price, estimate.expected, ask.images
        whole = round(answer)
        prompt_pico, full, worst = 0, None, None
        if price is not None:
            prompt_pico = price.cost_pico(expected, 0, images)
            full = self._surplus.applied(price.cost_pico(expected, whole, images))
            worst = price.worst_pico(estimate.upper, self._opened.job.model.max_tokens, images)
            sums.worst_pico += worst
            self.costs.add(full)
        sums.add(expected, answer, prompt_pico)
        sums.add_content(estimate.formula - images * self._image_tokens, images)
        found.places.append(place)
        found.images.append(images)
        found.writing.append(language_group(ask.row.text))
        found.prompt_tokens.append(expected)
        found.answer_tokens.append(whole)
        found.expected_pico.append(full)
        found.worst_pico.append(worst)
        return prompt_pico

    def _group(self, value: object, prompt_tokens: int, answer: float, prompt_pico: int) -> None:
        name = "(null)" if value is None else str(value)
        if name not in self.groups and len(self.groups) >= MOST_GROUPS:
            name = OTHERS
        self.groups.setdefault(name, GroupSums()).add(prompt_tokens, answer, prompt_pico)


def _images(parts: Parts) -> int:
    return sum(isinstance(part, ImagePart) for part in parts) if parts else 0
