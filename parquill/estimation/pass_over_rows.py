"""Reads every row once, in order: its state, its tokens, its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from parquill.calibration import CalibrationData
from parquill.endpoint import EndpointFacts
from parquill.errors import RowError
from parquill.estimation.attachments import Parts, PartsOf
from parquill.estimation.counting import Counted, Counting
from parquill.estimation.interval import GroupSums, Sums
from parquill.estimation.parquet_writer import Figures, LineWriter
from parquill.estimation.pricing import RowPrices
from parquill.histogram import Histogram
from parquill.manifest import Chunk
from parquill.planning import FAILING, Prepared, PreparedRows, RowSorter, SortedChunk, shown_columns
from parquill.storage import ByteSink
from parquill.text import language_group

MOST_GROUPS = 10_000
"""Values of a column that are told apart; later ones are summed as one."""
OTHERS = "(others)"


class PassOverRows:
    """One pass over a manifest; `write` does it, the attributes tell what was found."""

    def __init__(
        self,
        opened: Prepared,
        facts: EndpointFacts,
        calibration_data: CalibrationData,
        sorter: RowSorter,
        parts: PartsOf,
        *,
        by: str | None,
    ) -> None:
        self._opened = opened
        most = opened.job.model.max_tokens
        self._prices = RowPrices(facts.price, calibration_data.surplus, most) if facts.price else None
        self._sorter = sorter
        self._parts = parts
        self._by = by
        self._counting = Counting(opened, facts, calibration_data)
        self._image_tokens = calibration_data.counter.image_tokens
        self.states: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.sums = Sums()
        self.costs = Histogram()
        self.groups: dict[str, GroupSums] = {}
        self.pictureless = 0
        """Rows to send that have no picture, where columns are named for pictures or documents."""
        self._shows = bool(shown_columns(opened.job.manifest))

    def write(self, sink: ByteSink) -> None:
        """Go through the manifest and write each row's line."""
        columns = self._opened.manifest.columns
        names = (columns.key.name,) if columns.has_id else columns.copied[:1]
        with LineWriter(sink, self._opened.manifest) as lines:
            for chunk in self._sorter.chunks(tuple(dict.fromkeys([*names, *([self._by] if self._by else [])]))):
                found = self._weigh(chunk)
                self.states.update(chunk.states)
                lines.add(chunk, found)

    def _weigh(self, rows: SortedChunk) -> Figures:
        """Count a chunk's rows to ask; rows that turn out to be certain to fail change their state."""
        faulty = zip(rows.faulty.rows, rows.faulty.faults, strict=True)
        failed = {**rows.stand, **{row: fault.kind.value for row, fault in faulty if fault}}
        asked, sound = self._opened_rows(rows, failed)
        counted = self._counting.count(asked, sound)
        if never := self._counting.faults(counted):
            failed |= {row: kind.value for row, kind in zip(asked.rows, never, strict=True) if kind}
            counted = counted.at([place for place, kind in enumerate(never) if kind is None])
        for row, kind in failed.items():
            rows.states[row - rows.chunk.start] = FAILING
            self.faults[kind] += 1
        return self._add(rows.chunk, counted, failed)

    def _opened_rows(self, rows: SortedChunk, failed: dict[int, str]) -> tuple[PreparedRows, list[Parts]]:
        """The rows whose pictures and documents can be had as far as is looked, with what they put into requests."""
        sound: list[Parts] = []
        places: list[int] = []
        for place, parts in enumerate(self._parts.all(rows.asked)):
            if isinstance(parts, RowError):
                failed[rows.asked.rows[place]] = parts.kind.value
            else:
                places.append(place)
                sound.append(parts)
        return rows.asked.at(places), sound

    def _add(self, chunk: Chunk, counted: Counted, failed: Mapping[int, str]) -> Figures:
        """Add rows to send to the sums; returns their lines."""
        start = chunk.start
        if self._shows:
            shown = zip(counted.rows.pictures, counted.rows.documents, strict=True)
            self.pictureless += sum(not (pictures or documents) for pictures, documents in shown)
        costs = self._prices.of(counted) if self._prices else None
        prompts_pico = costs.prompts if costs else [0] * len(counted.rows)
        if costs:
            self.costs.add_all(costs.expected)
            self.sums.worst_pico += sum(costs.worst)
        texts = counted.tokens.formula - counted.images * self._image_tokens
        self.sums.add_rows(counted.tokens.expected, counted.answers, prompts_pico, texts, counted.images)
        if self._by:
            self._group(chunk, counted, prompts_pico)
        return Figures(
            counted,
            costs,
            places=[row - start for row in counted.rows.rows],
            writing=[*map(language_group, counted.rows.texts)],
            faults={row - start: kind for row, kind in failed.items()},
        )

    def _group(self, chunk: Chunk, counted: Counted, prompts_pico: Sequence[int]) -> None:
        """Add rows to the sums of their values of a column."""
        assert self._by is not None
        values, _ = chunk.cells(self._by)
        figures = zip(counted.tokens.expected.tolist(), counted.answers.tolist(), prompts_pico, strict=True)
        for row, (prompt_tokens, answer, pico) in zip(counted.rows.rows, figures, strict=True):
            value = values[row - chunk.start]
            name = "(null)" if value is None else str(value)
            if name not in self.groups and len(self.groups) >= MOST_GROUPS:
                name = OTHERS
            self.groups.setdefault(name, GroupSums()).add(prompt_tokens, answer, pico)
