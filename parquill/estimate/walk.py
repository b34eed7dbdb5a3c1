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
from parquill.prices import ATTO_PER_PICO
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


Going = tuple[Ask, TokenEstimate, float]
"""A row that is sent, its prompt's tokens, and the tokens that its answer is expected to have."""


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
            going: list[Going] = []
            for ask, estimate in zip(asks, estimates, strict=True):
                answer = self._length.expect(estimate.expected, ask.images)
                if kind := self._never(estimate, answer):
                    self._fail(rows, found, ask.row, kind)
                else:
                    going.append((ask, estimate, answer))
            prompts_pico = self._add(found, start, going)
            if values is not None:
                for (ask, estimate, answer), pico in zip(going, prompts_pico, strict=True):
                    self._group(values[ask.row.row - start], estimate.expected, answer, pico)
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

    def _add(self, found: Figures, start: int, going: Sequence[Going]) -> list[int]:
        """Add rows to send to the sums, and their lines; returns what each costs besides its answer."""
        images = [ask.images for ask, _, _ in going]
        prompts = [estimate.expected for _, estimate, _ in going]
        answers = [round(answer) for _, _, answer in going]
        prompts_pico = self._price(found, going, images, prompts, answers)
        aside = self._image_tokens
        texts = [estimate.formula - ask.images * aside for ask, estimate, _ in going]
        self.sums.add_rows(prompts, [answer for _, _, answer in going], prompts_pico, texts, images)
        found.places += [ask.row.row - start for ask, _, _ in going]
        found.images += images
        found.writing += [language_group(ask.row.text) for ask, _, _ in going]
        found.prompt_tokens += prompts
        found.answer_tokens += answers
        return prompts_pico

    def _price(
        self, found: Figures, going: Sequence[Going], images: list[int], prompts: list[int], answers: list[int]
    ) -> list[int]:
        """Note what rows cost, expected and at worst; returns what each is listed at besides its answer."""
        price, most = self._facts.price, self._opened.job.model.max_tokens
        if price is None:
            found.expected_pico += [None] * len(going)
            found.worst_pico += [None] * len(going)
            return [0] * len(going)
        listed = [*map(price.cost_pico, prompts, answers, images)]
        full = [*map(self._surplus.applied, listed)] if self._surplus.rows else listed
        worst = [price.worst_pico(estimate.upper, most, ask.images) for ask, estimate, _ in going]
        self.costs.add_all(full)
        self.sums.worst_pico += sum(worst)
        found.expected_pico += full
        found.worst_pico += worst
        rate = price.rates.completion
        return [pico - rate * answer // ATTO_PER_PICO for pico, answer in zip(listed, answers, strict=True)]

    def _group(self, value: object, prompt_tokens: int, answer: float, prompt_pico: int) -> None:
        name = "(null)" if value is None else str(value)
        if name not in self.groups and len(self.groups) >= MOST_GROUPS:
            name = OTHERS
        self.groups.setdefault(name, GroupSums()).add(prompt_tokens, answer, prompt_pico)


def _images(parts: Parts) -> int:
    return [*map(type, parts)].count(ImagePart)
