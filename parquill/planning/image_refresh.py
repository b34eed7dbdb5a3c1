"""`images.refresh`: are the pictures of answers that would be taken over still the ones that were seen?

Their figures are beside each answer, in a part or in the archive: the host's name for the
picture's state (ETag, Last-Modified) and a digest of its bytes. Each host is asked by that
name, before anything is sent to the model. Where a picture changed, its row is asked again, and
the answer it had goes to the archive under a name that no row asks for (`_superseded`): a
fingerprint holds the picture's address, so under its own it would be found again. All of that is
durable before the first request; a run that dies on the way asks the hosts anew about the rest.

What cannot be told keeps its answer: a host that does not answer now, a picture that was passed
on unasked, one that is no picture any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

from parquill.chat import ImageFigures
from parquill.images import ImageLoader, PictureValue
from parquill.manifest import Chunk
from parquill.planning.archive_access import ArchiveAccess
from parquill.planning.planner import Planner
from parquill.planning.rows import PreparedRow
from parquill.planning.run_plan import OpenSlice, RunPlan, as_open
from parquill.planning.selection import Selection
from parquill.planning.superseded import kept_answers, reopened, without_answers
from parquill.results import ItemResult
from parquill.storage import Storage
from parquill.text import counted
from parquill.threads import Wait

_AT_ONCE = 64
"""Questions under way; the fetcher asks each host eight at a time."""

Question = tuple[PictureValue, ImageFigures | None]
Verdicts = list[bool | None]


class Refresher:
    """Goes through a plan once, on a thread of its own."""

    def __init__(
        self, planner: Planner, images: ImageLoader, output: Storage, archive: ArchiveAccess, *, wait: Wait[Verdicts]
    ) -> None:
        self._planner = planner
        self._images = images
        self._output = output
        self._archive = archive
        self._wait = wait
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._changed = self._unknown = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know of it."""
        told = []
        if self._changed:
            told.append(f"images.refresh: {counted(self._changed, 'answered row')} had pictures that changed since")
        if self._unknown:
            told.append(
                f"images.refresh: of {counted(self._unknown, 'answered row')} it is not known whether the pictures "
                "changed (a host does not answer, or was never asked for their state); the answers are kept"
            )
        return tuple(told)

    def refreshed(self, plan: RunPlan, chosen: Selection) -> RunPlan:
        """Return the plan in which those of the `chosen` rows whose pictures changed are asked again."""
        manifest, open_slices = plan.manifest, {one.number: one for one in plan.open}
        numbers = {one.part: number for number, one in enumerate(manifest.slices) if chosen.touches(one)}
        columns = manifest.columns.needed(plan.reader.columns)
        chunks = manifest.read(columns, set(numbers)) if numbers else iter(())
        slices: dict[int, OpenSlice] = {}
        lost = 0
        for part, its in itertools.groupby(chunks, key=lambda chunk: chunk.slice.part):
            number = numbers[part]
            one = open_slices.get(number) or as_open(manifest.slices[number], number, plan.complete[number])
            answers = kept_answers(self._output, one)
            rows = [row for chunk in its for row in self._changed_in(plan, chunk, chosen, answers)]
            if rows:
                slices[number] = without_answers(self._archive, one, rows, answers, _superseded)
                lost += len(rows)
        return reopened(self._planner, self._archive, plan, slices, lost)

    def _changed_in(
        self, plan: RunPlan, chunk: Chunk, chosen: Selection, answers: Mapping[int, ItemResult]
    ) -> Iterator[int]:
        """Yield the chunk's rows whose kept answer is of another picture; set such answers of the archive aside."""
        wanted = set(chosen.rows(chunk.slice, chunk.start, chunk.start + chunk.table.num_rows))
        rows = [row for row in plan.reader.read(chunk, wanted) if any(map(self._images.is_elsewhere, row.pictures))]
        pairs = list(self._paired(rows, answers))
        superseded: list[tuple[bytes, bytes]] = []
        for (row, result), verdict in zip(pairs, self._judged(pairs), strict=True):
            if verdict is None:
                self._unknown += 1
            elif verdict:
                self._changed += 1
                superseded.append((result.fingerprint or b"", _superseded(result)))
                if row.row in answers:
                    yield row.row
        if superseded:
            self._archive.rename_archived(superseded)

    def _paired(
        self, rows: Sequence[PreparedRow], answers: Mapping[int, ItemResult]
    ) -> Iterator[tuple[PreparedRow, ItemResult]]:
        """Each row with the answer that it would take over: its own, or one of the archive."""
        others = [row.fingerprint for row in rows if row.row not in answers and row.fingerprint is not None]
        archived = self._archive.archived(others) if others else {}
        for row in rows:
            payload = archived.get(row.fingerprint or b"")
            if row.row in answers:
                yield row, answers[row.row]
            elif payload is not None:
                yield row, ItemResult.decode(payload)

    def _judged(self, pairs: Sequence[tuple[PreparedRow, ItemResult]]) -> Iterator[bool | None]:
        """For each row whether a picture of it changed; None where that is not known of one, and no other did."""
        asked = [_questions(row, result) for row, result in pairs]
        unique = list(dict.fromkeys(itertools.chain.from_iterable(asked)))
        known = dict(zip(unique, self._wait(self._ask_all(unique)) if unique else (), strict=True))
        for questions in asked:
            verdicts = {known[question] for question in questions}
            yield True if True in verdicts else None if None in verdicts else False

    async def _ask_all(self, questions: Sequence[Question]) -> Verdicts:
        async def ask(question: Question) -> bool | None:
            async with self._turn:
                return await self._images.changed(*question)

        return await asyncio.gather(*map(ask, questions))


def _questions(row: PreparedRow, result: ItemResult) -> list[Question]:
    """Each picture of a row with what was seen of it; the pages of documents stand behind them."""
    seen = result.images or ()
    return list(itertools.zip_longest(row.pictures, seen[: len(row.pictures)]))


def _superseded(result: ItemResult) -> bytes:
    """The name of an answer about pictures that are no more: its fingerprint's, and theirs."""
    states = [f"{one.digest} {one.version}" if one is not None else "" for one in result.images or ()]
    said = (result.fingerprint or b"") + "\n".join(states).encode()
    return hashlib.blake2b(said, digest_size=16, person=b"superseded").digest()
