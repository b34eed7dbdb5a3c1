"""Dry run of the plan: which rows a run would ask. Takes no lock and needs no ledger of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from parquill.manifest import Chunk
from parquill.planning.dry_archive import DryArchive
from parquill.planning.failed_rows import RetryChoice
from parquill.planning.other_outputs import OtherOutputs
from parquill.planning.preparation import Prepared
from parquill.planning.rows import PreparedRows
from parquill.planning.run_plan import OpenSlice, RunPlan
from parquill.planning.selection import Selection
from parquill.results import PartInfo, read_part
from parquill.storage import Storage

KEPT, EQUAL, TODO, FAILING, LEFT_OUT = "kept", "equal", "todo", "failing", "not_asked"
"""What becomes of a row; the last is one beyond `--limit`."""


@dataclass(frozen=True, slots=True)
class SortedChunk:
    """A chunk's rows by what becomes of them: a state each, and the prepared rows to ask or that fail.

    `stand` has the kinds of rows that failed in earlier runs and are not asked again.
    """

    chunk: Chunk
    states: list[str]
    asked: PreparedRows = field(default_factory=PreparedRows)
    faulty: PreparedRows = field(default_factory=PreparedRows)
    stand: Mapping[int, str] = field(default_factory=dict)


class RowSorter:
    """Goes through the manifest as the run's feed does, and sends nothing."""

    def __init__(  # noqa: PLR0917 - what a run's feed has
        self,
        opened: Prepared,
        plan: RunPlan,
        archive: DryArchive,
        other_outputs: OtherOutputs | None,
        chosen: Selection,
        retry: RetryChoice,
    ) -> None:
        self._opened = opened
        self._output = Storage.at(opened.job.output.path)
        self._retry = retry
        self._plan = plan
        self._archive = archive
        self._other_outputs = other_outputs
        self._chosen = chosen
        self._open = {one.slice.part: one for one in plan.open}
        self._outcomes: tuple[str, Collection[int]] = ("", ())
        self._kinds: tuple[str, Mapping[int, str]] = ("", {})

    def chunks(self, columns: Sequence[str]) -> Iterator[SortedChunk]:
        """Yield the rows of every slice; of those that are finished only `columns` are read."""
        manifest, reader = self._opened.manifest, self._opened.reader
        finished = {one.part for one in manifest.slices} - self._open.keys()
        if finished:
            parts = {info.name: info for info in self._plan.complete.values()}
            for chunk in manifest.read(columns, finished):
                start, count = chunk.start, chunk.table.num_rows
                kinds = self._kinds_in(parts[chunk.slice.part])
                stand = {row: kinds[row] for row in range(start, start + count) if row in kinds}
                yield SortedChunk(chunk, [KEPT] * count, stand=stand)
        if self._open:
            names = tuple(dict.fromkeys([*columns, *reader.columns]))
            for chunk in manifest.read(names, self._open.keys()):
                yield self._sort(chunk, self._open[chunk.slice.part])

    def _sort(self, chunk: Chunk, one: OpenSlice) -> SortedChunk:
        start, count = chunk.start, chunk.table.num_rows
        states = [KEPT] * count
        outcomes = self._outcomes_of(one)
        wanted = None
        if one.kept_at is not None or outcomes or not self._chosen.is_all:
            left = [row for row in range(start, start + count) if not one.keeps(row) and row not in outcomes]
            wanted = set(self._chosen.rows(chunk.slice, start, start + count)).intersection(left)
            for row in left:
                states[row - start] = LEFT_OUT
        prepared = self._opened.reader.read_together(chunk, wanted)
        found = self._states(one.number, prepared)
        stand = self._standing(one, range(start, start + count)) | self._left(prepared, found)
        for row, state in zip(prepared.rows, found, strict=True):
            states[row - start] = state
        asked, faulty = (
            prepared.at([place for place, state in enumerate(found) if state is kind]) for kind in (TODO, FAILING)
        )
        return SortedChunk(chunk, states, asked, faulty, stand)

    def _kinds_in(self, info: PartInfo) -> Mapping[int, str]:
        """The error kinds of a part's failed rows, by row."""
        if self._kinds[0] != info.part_id:
            kinds = read_part(self._output, info.name, ["error_kind"]).column(0).to_pylist() if info.failed else ()
            self._kinds = (info.part_id, {row: kind for row, kind in enumerate(kinds) if kind is not None})
        return self._kinds[1]

    def _standing(self, one: OpenSlice, rows: range) -> dict[int, str]:
        """Rows of a slice that stand as failed in its old part, and stay so."""
        if one.old is None or one.kept_at is None or not one.old.failed:
            return {}
        kinds = self._kinds_in(one.old)
        return {row: kinds[at] for row, at in zip(rows, one.kept_at[rows].tolist(), strict=True) if at in kinds}

    def _left(self, prepared: PreparedRows, states: list[str]) -> dict[int, str]:
        """Rows to ask that failed at another place in as many runs as they are asked; they are asked no more."""
        todo = [place for place, state in enumerate(states) if state is TODO]
        marks = [prepared.fingerprints[place] or b"" for place in todo]
        counts, left = self._archive.failures(marks), {}
        for place, mark in zip(todo, marks, strict=True):
            if (known := counts.get(mark)) is not None and self._retry.leaves(known):
                states[place], left[prepared.rows[place]] = LEFT_OUT, known.kind
        return left

    def _outcomes_of(self, one: OpenSlice) -> Collection[int]:
        """Rows that have an outcome in the ledger."""
        if self._outcomes[0] != one.slice.part:
            self._outcomes = (one.slice.part, () if one.held is None else self._archive.answered(one.held).keys())
        return self._outcomes[1]

    def _states(self, number: int, prepared: PreparedRows) -> list[str]:
        """What becomes of rows of a slice that nothing answers yet."""
        assert self._plan.index is not None
        states = [FAILING] * len(prepared)
        sound = [place for place, fingerprint in enumerate(prepared.fingerprints) if fingerprint is not None]
        fingerprints = [fingerprint for fingerprint in prepared.fingerprints if fingerprint is not None]
        ours = self._plan.index.claim_all(fingerprints, number, [prepared.rows[place] for place in sound])
        for place, fingerprint, first in zip(sound, fingerprints, ours, strict=True):
            states[place] = self._state(fingerprint) if first else EQUAL
        return states

    def _state(self, fingerprint: bytes) -> str:
        """What becomes of the first row with a fingerprint."""
        if self._archive.holds(fingerprint):
            return KEPT
        if self._other_outputs is not None and self._other_outputs.holds(fingerprint):
            return EQUAL
        return TODO
