"""Hands out the rows that must be asked, in the manifest's order, and reads no further ahead than needed.

Workers pull rows; one chunk is read ahead on a thread. A row that needs no request gets its result here: it is
kept from the old part, or the ledger holds its outcome.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from parquill.asking import RowCosts, RowRef, RowState
from parquill.booking import Booking
from parquill.event_loop import Tasks
from parquill.ledger import AttemptRecord, CarriedRow, FailureRecord, Ledger
from parquill.manifest import Chunk
from parquill.planning import OpenSlice, PreparedRow, RetryChoice, RunPlan, Selection
from parquill.publishing import SliceResults
from parquill.results import CostSource, ItemResult, Status

_BLOCK = 64
"""Rows made ready together: enough that what is done for all of them costs little, and the loop is not held up."""


class Feed:
    """Opens slices in order and hands out their rows."""

    def __init__(
        self,
        plan: RunPlan,
        ledger: Ledger,
        *,
        run: int,
        realm: str,
        chosen: Selection,
        retry: RetryChoice,
        on_outcome: Callable[[SliceResults, int, ItemResult], object],
        on_left: Callable[[SliceResults, PreparedRow, FailureRecord], object],
        on_read: Callable[[SliceResults], object],
        on_block: Callable[[Sequence[PreparedRow]], object],
        on_fault: Callable[[BaseException], object],
    ) -> None:
        """`chosen`: the rows that are asked. `on_outcome`: called with rows whose outcome the ledger holds already;
        `on_left`: of rows that failed in earlier runs, at another place, and are not asked again by `retry`;
        `on_read`: called when a slice is read to its end; `on_block`: called with rows before they are handed out;
        `on_fault`: called with what went wrong while rows were read, also when no worker waits for them."""
        self._plan = plan
        self._ledger = ledger
        self._run = run
        self._chosen = chosen
        self._realm = realm
        self._retry = retry
        self._archived: bool | None = None
        self._left = False
        self._on_outcome = on_outcome
        self._on_left = on_left
        self._on_read = on_read
        self._on_block = on_block
        self._open = {one.slice.part: one for one in plan.open if chosen.touches(one.slice)}
        self._names = plan.manifest.columns.needed(plan.reader.columns)
        self._chunks = plan.manifest.read(self._names, set(self._open)) if self._open else iter(())
        self._ahead: asyncio.Future[Chunk | None] | None = None
        self._rows: Iterator[PreparedRow] = iter(())
        self._work: SliceResults | None = None
        self._loads = Tasks[None](on_fault)
        self._loading: asyncio.Task[None] | None = None
        self._done = False
        self.works: dict[int, SliceResults] = {}
        """Slices that are open now, by their number."""
        self.opened: set[int] = set()
        """Every slice that has been opened."""
        self._earlier: dict[int, dict[int, RowCosts]] = {}

    @property
    def is_done(self) -> bool:
        """Whether there are no more rows to hand out."""
        return self._done

    async def take(self) -> tuple[SliceResults, PreparedRow] | None:
        """Return the next row to ask, or None when there are no more."""
        while True:
            for prepared in self._rows:
                assert self._work is not None
                return self._work, prepared
            if self._done:
                return None
            if self._loading is None:
                self._loading = self._loads.start(self._load())
            # Shield the load: cancelling one worker must not cancel it for all, half a load would lose rows.
            await asyncio.shield(self._loading)

    def ask(self, work: SliceResults, prepared: PreparedRow) -> RowState:
        """Begin a row's account with what earlier processes and runs spent on it."""
        ref = RowRef(work.slice_id, prepared.row, prepared.fingerprint, work.plan.slice.part)
        return RowState(ref, self.account_of(work, prepared.row))

    def account_of(self, work: SliceResults, row: int) -> RowCosts:
        """Begin a row's account with what was spent on it before."""
        return self._earlier.get(work.plan.number, {}).get(row) or RowCosts()

    async def close(self) -> None:
        """Hand out nothing more; a read that is under way comes to its end."""
        self._done = True
        await self._loads.all_ended()
        if self._ahead is not None:
            await asyncio.gather(self._ahead, return_exceptions=True)
        self._rows = iter(())

    def forget(self, work: SliceResults) -> None:
        """A slice's part stands: nothing of it is held any longer."""
        del self.works[work.plan.number]
        self._earlier.pop(work.plan.number, None)

    async def rest(self) -> AsyncIterator[SliceResults]:
        """Read what is left without asking anything: the run is over. Yields slices read to their end.

        First those that are open, then those that hold something of older runs and whose part
        is not true any more.
        """
        for work in [work for work in self.works.values() if work.is_read]:
            yield work
        while any(not work.is_read for work in self.works.values()):
            chunk = await self._read_chunk()
            assert chunk is not None
            if (work := await self._admit(chunk, ask=False)).is_read:
                yield work
        held = {record.name for record in await self._ledger.slices()}
        wanted = {
            one.slice.part: one
            for one in self._plan.open
            if one.number not in self.opened and not one.stands and (one.old is not None or one.slice.part in held)
        }
        self._open |= wanted
        for chunk in self._plan.manifest.read(self._names, set(wanted)) if wanted else ():
            if (work := await self._admit(chunk, ask=False)).is_read:
                yield work

    async def open_blank(self, plan: OpenSlice) -> SliceResults:
        """Open a slice that neither ledger nor output knows, for writing it as a whole."""
        held = await self._ledger.slice(plan.slice.part, plan.ledger_digest(self._realm))
        return SliceResults(plan, held.id)

    async def _load(self) -> None:
        try:
            chunk = await self._read_chunk()
            if chunk is None:
                self._done = True
            else:
                await self._admit(chunk)
        finally:
            self._loading = None

    async def _read_chunk(self) -> Chunk | None:
        ahead = self._ahead or self._read()
        self._ahead = None
        chunk = await ahead
        if chunk is not None:
            self._ahead = self._read()
        return chunk

    def _read(self) -> asyncio.Future[Chunk | None]:
        return asyncio.get_running_loop().run_in_executor(None, next, self._chunks, None)

    async def _admit(self, chunk: Chunk, *, ask: bool = True) -> SliceResults:
        """Sort a chunk's rows: kept, known to the ledger or the archive, beyond the limit, to be asked."""
        plan = self._open[chunk.slice.part]
        work = self.works.get(plan.number) or await self._open_slice(plan)
        work.take(chunk, self._plan.manifest)
        chosen = self._chosen.rows(chunk.slice, chunk.start, chunk.start + chunk.table.num_rows)
        wanted = {row for row in chosen if not work.kept[row] and work.results[row] is None}
        if ask:
            self._work = work
            self._rows = self._in_blocks(await self._prepare(work, chunk, wanted))
            if work.is_read:
                self._on_read(work)
        return work

    async def _prepare(self, work: SliceResults, chunk: Chunk, wanted: set[int]) -> Iterator[PreparedRow]:
        rows = self._plan.reader.read(chunk, wanted)
        if self._archived is None:
            self._archived = await self._ledger.archive_holds(self._realm)
            self._left = await self._ledger.some_failed(self._realm, self._retry.max_runs)
        if self._archived:
            rows = await self._without_archived(work, list(rows))
        if self._left:
            rows = await self._without_left(work, list(rows))
        return rows

    async def _without_archived(self, work: SliceResults, prepared: list[PreparedRow]) -> Iterator[PreparedRow]:
        pairs = [(one.row, one.fingerprint) for one in prepared if one.fingerprint is not None]
        adopted = await self._ledger.adopt(run=self._run, slice_id=work.slice_id, wanted=pairs)
        for row, payload in adopted.items():
            self._take_outcome(work, row, ItemResult.decode(payload))
        return iter([one for one in prepared if one.row not in adopted])

    async def _without_left(self, work: SliceResults, prepared: list[PreparedRow]) -> Iterator[PreparedRow]:
        marks = [one.fingerprint for one in prepared if one.fingerprint is not None]
        counts = await self._ledger.failures(marks, self._realm, self._retry.max_runs)
        asked = []
        for one in prepared:
            known = counts.get(one.fingerprint or b"")
            if known is not None and self._retry.leaves(known):
                self._on_left(work, one, known)
            else:
                asked.append(one)
        return iter(asked)

    def _in_blocks(self, rows: Iterator[PreparedRow]) -> Iterator[PreparedRow]:
        while block := list(itertools.islice(rows, _BLOCK)):
            self._on_block(block)
            yield from block

    async def _open_slice(self, plan: OpenSlice) -> SliceResults:
        ledger = self._ledger
        held = await ledger.slice(plan.slice.part, plan.ledger_digest(self._realm))
        if plan.old is not None and plan.carried:
            await ledger.lift(plan.old.part_id, (), list(self._carried(plan, held.id)))
        work = self.works[plan.number] = SliceResults(plan, held.id)
        self.opened.add(plan.number)
        for row in range(plan.slice.rows):
            if plan.keeps(row):
                work.keep(row)
        spent = await ledger.open_attempts(held.id)
        self._earlier[plan.number] = {row: _account_of(attempts) for row, attempts in spent.items()}
        for row, payload in (await ledger.open_rows(held.id)).items():
            self._take_outcome(work, row, ItemResult.decode(payload))
        return work

    def _carried(self, plan: OpenSlice, slice_id: int) -> Iterator[tuple[int, CarriedRow]]:
        for row, (old_row, result) in plan.carried.items():
            yield (
                old_row,
                CarriedRow(
                    slice_id=slice_id,
                    row=row,
                    run=self._run,
                    fingerprint=result.fingerprint or b"",
                    attempts=result.attempts,
                    cost_pico=result.cost_pico or 0,
                    cost_source=result.cost_source or CostSource.UNKNOWN,
                    prompt_tokens=result.prompt_tokens,
                    completion_tokens=result.completion_tokens,
                    cached_tokens=result.cached_tokens,
                    upstream_pico=result.upstream_pico,
                ),
            )

    def _take_outcome(self, work: SliceResults, row: int, result: ItemResult) -> None:
        index = self._plan.index
        if result.status is Status.OK and index is not None and result.fingerprint is not None:
            index.claim(result.fingerprint, work.plan.number, row)
        self._on_outcome(work, row, result)


def _account_of(attempts: Sequence[AttemptRecord]) -> RowCosts:
    """Sums of a row's earlier attempts; `number` counts on over those carried from an older part."""
    account = RowCosts()
    for one in attempts:
        unknown = one.cost_source == CostSource.UNKNOWN
        booking = Booking(
            None if unknown and not one.cost_pico else one.cost_pico,
            CostSource(one.cost_source),
            one.prompt_tokens,
            one.completion_tokens,
            one.cached_tokens,
            one.upstream_pico,
        )
        account.add(booking, attempts=one.number - account.attempts)
    return account
