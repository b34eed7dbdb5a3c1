"""The worker loop: workers pull rows, rows become outcomes, whole slices become parts.

A fixed set of workers takes rows from the feed. There are a few more workers than requests in flight, so that
pictures, intents and outcomes are prepared while requests are open. A row's outcome is durable in the ledger
before it counts. When the run stops (`stop`), nothing new is admitted, requests in flight get their time, and
every row left is written as not attempted.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from parquill.asking import Attempts, Conversations, HeldError, RowRef, RowState, figures_of
from parquill.clock import Clock
from parquill.deduplication import AnsweredRows, DuplicateFinder
from parquill.errors import ErrorKind, RowError, Stop, StorageFullError
from parquill.event_loop import Tasks, to_its_end
from parquill.feeding import Feed, HeldRow, HeldRows, write_unasked_parts
from parquill.job import FailureSettings
from parquill.ledger import FailureRecord, Ledger
from parquill.limits import NO_ENDPOINT, GateClosed, RunGate
from parquill.planning import OtherOutputs, PreparedRow, RetryChoice, RunPlan, Selection
from parquill.publishing import Publisher, SliceResults
from parquill.results import ItemResult, PartInfo, Status
from parquill.run_state import Stages
from parquill.running.error_rate import ErrorRate
from parquill.storage import Storage
from parquill.summary import Tally

GRACE_SECONDS = 20.0
"""What those in flight get when the run is told to stop."""

_SPARE_WORKERS = 32
_TICK = 0.25


@dataclass(frozen=True, slots=True)
class LoopContext:
    """What the loop needs of the run around it."""

    plan: RunPlan
    ledger: Ledger
    output: Storage
    publisher: Publisher
    conversations: Conversations
    attempts: Attempts
    gate: RunGate
    tally: Tally
    clock: Clock
    failures: FailureSettings
    retry: RetryChoice
    other_outputs: OtherOutputs | None


class WorkerLoop:
    """Executes a plan; one for a run."""

    def __init__(self, context: LoopContext, *, run: int, realm: str, chosen: Selection, portion: bool) -> None:
        """`chosen`: the rows that are asked. `portion`: rows of unclear refusals are left to the run itself."""
        self._context = context
        self._chosen = chosen
        self.feed = Feed(
            context.plan,
            context.ledger,
            run=run,
            realm=realm,
            chosen=chosen,
            retry=context.retry,
            on_outcome=self._finish,
            on_left=self._leave,
            on_read=self._publish_if_whole,
            on_block=context.conversations.look_ahead,
            on_fault=self.fail,
        )
        self._standing = AnsweredRows(context.plan, context.output, context.ledger, self.feed.works)
        self._sharing = DuplicateFinder(
            context.plan, self._standing, self.feed, context.other_outputs, clock=context.clock, finish=self._finish
        )
        self._workers = Tasks[None](self.fail)
        self._publishing = Tasks[None](functools.partial(self.fail, cut_off=False))
        self._error_rate = ErrorRate(context.failures)
        self._fault: BaseException | None = None
        self._held = HeldRows(context.attempts.refusals)
        self._is_portion = portion
        self._alone = asyncio.Lock()
        self._is_winding_up = False
        self.asking = 0
        """Rows that a worker has in hand."""

    @property
    def parts(self) -> list[PartInfo]:
        """The output's parts as they stand when the run is over."""
        context = self._context
        standing = {**context.plan.complete, **self._standing.published}
        kept = {one.number: one.old for one in context.plan.open if one.old is not None and one.number not in standing}
        return [info for _, info in sorted({**standing, **kept}.items())]

    @property
    def closed(self) -> GateClosed | None:
        """Why the run stopped; None when it went to its end."""
        return self._context.gate.closed

    def stages(self) -> Stages:
        """Where rows are now."""
        gate, works = self._context.gate.statistics(), self.feed.works.values()
        asking = min(self.asking, gate.waiting_for_budget + gate.waiting + gate.in_flight)
        return Stages(
            pictures=self.asking - asking,
            asking=asking,
            writing=sum(len(work.results) - work.left for work in works),
        )

    async def execute(self) -> None:
        """Work until every row has an outcome or the run stops; then write what is left.

        Raises the first fault of Parquill's own or of its storage; what came before it is kept.
        """

        def stop(cancelled_before: int) -> None:
            self.stop(Stop.SIGTERM, "the run was cancelled", grace=0 if cancelled_before else GRACE_SECONDS)

        await to_its_end(self._to_the_end(), on_cancel=stop)

    async def _to_the_end(self) -> None:
        await self._work()
        await self._close()
        if self._fault is not None:
            raise self._fault

    def stop(self, reason: Stop, message: str, *, grace: float = GRACE_SECONDS) -> None:
        """Admit nothing more; requests in flight get `grace` seconds, then they are cut off."""
        self._context.gate.close(reason, message)
        if grace > 0:
            self._context.clock.call_later(grace, self._cut_off)
        else:
            self._cut_off()

    def _cut_off(self) -> None:
        self._workers.cancel()

    async def _work(self) -> None:
        """Keep as many workers as may be of use until the feed is empty or the gate closed."""
        while True:
            if self._context.gate.closed is not None:
                self._wind_up(self._context.gate.closed.stop)
            elif not self.feed.is_done:
                wanted = self._context.gate.statistics().in_flight_limit
                self._hire(wanted + max(_SPARE_WORKERS, wanted // 2))
            elif not self._workers.running and self._held and not self._is_portion:
                self._workers.start(self._ask_held())
            if not self._workers.running:
                return
            await asyncio.wait(self._workers.running, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)

    def _wind_up(self, stop: Stop) -> None:
        """No row waits for its next try any longer; after a refusal cut off requests in flight after a grace period."""
        self._context.attempts.hurry()
        self._context.conversations.opening.leave()
        self._context.attempts.refusals.release()
        if stop in (Stop.REFUSED, Stop.UNREACHABLE) and not self._is_winding_up:
            self._context.clock.call_later(GRACE_SECONDS, self._cut_off)
        self._is_winding_up = True

    def _hire(self, wanted: int) -> None:
        left = self._context.plan.manifest.rows
        while len(self._workers.running) < min(wanted, left):
            self._workers.start(self._worker())

    def fail(self, fault: BaseException, *, cut_off: bool = True) -> None:
        """Stop for what went wrong in one of the run's tasks: a full disk is a stop, all else is raised at the end.

        `cut_off`: requests in flight are not waited for.
        """
        if isinstance(fault, StorageFullError):
            self._context.gate.close(Stop.DISK_FULL, str(fault))
            return
        if self._fault is None:
            self._fault = fault
        self._context.gate.close(Stop.SIGTERM, f"a fault stopped the run: {fault}")
        if cut_off:
            self._cut_off()

    async def _worker(self) -> None:
        going = True
        while going:
            if self._held and not self._alone.locked() and (held := self._held.known()) is not None:
                going = await self._went(self._again(held))
            elif (taken := await self.feed.take()) is not None:
                going = await self._went(self._row(*taken))
            else:
                return

    async def _went(self, turn: Coroutine[Any, Any, None]) -> bool:
        """Do what is due for one row; False where the run takes no more requests."""
        self.asking += 1
        try:
            await turn
        except GateClosed:
            return False
        finally:
            self.asking -= 1
        return True

    async def _ask_held(self) -> None:
        """Ask the rows that were refused once more: no other row is left."""
        if self._context.attempts.refusals.all_alike():
            return
        while (held := self._held.take()) is not None and await self._went(self._again(held)):
            pass

    async def _again(self, held: HeldRow) -> None:
        """Ask a refused row once more, or take its refusal for its error where that would tell nothing new."""
        work, prepared, asked, refusal = held.work, held.prepared, held.asked, held.refusal
        refusals = self._context.attempts.refusals
        if refusals.asks_again(refusal):
            async with self._alone:
                asked.begin_again()
                asked.refused = NO_ENDPOINT
                await self._ask(work, prepared, asked)
            return
        refusals.again(asked.ref.key, refusal)
        facts = refusal.kind, refusal.message
        result = self._context.conversations.failed(asked, *facts, estimated=refusal.estimated_pico)
        await self._keep(work, prepared, asked, result)

    def _leave(self, work: SliceResults, prepared: PreparedRow, known: FailureRecord) -> None:
        """Give a row that is not asked again the failure that it had in earlier runs."""
        work.left_failed.add(prepared.row)
        asked, kind = self.feed.ask(work, prepared), ErrorKind(known.kind)
        result = self._context.conversations.failed(asked, kind, known.message)
        self._context.tally.add(result, before=True)
        work.finish(prepared.row, result)
        self._publish_if_whole(work)

    async def _row(self, work: SliceResults, prepared: PreparedRow) -> None:
        conversations = self._context.conversations
        asked = self.feed.ask(work, prepared)
        if prepared.fault is not None:
            self._finish(work, prepared.row, conversations.failed(asked, prepared.fault.kind, prepared.fault.message))
        elif not await self._sharing.by_fingerprint(work, prepared):
            await self._ask(work, prepared, asked)

    async def _ask(self, work: SliceResults, prepared: PreparedRow, asked: RowState) -> None:
        """Ask a row; its outcome counts once it is durable."""
        conversations = self._context.conversations
        try:
            parts = await conversations.parts(prepared)
            asked.images = figures_of(parts)
            if await self._sharing.by_content(work, prepared, conversations.content(prepared, parts), asked.images):
                return
            result = await conversations.converse(prepared, parts, asked)
        except RowError as fault:
            result = conversations.failed(asked, fault.kind, fault.message)
        except HeldError as held:
            self._held.add(HeldRow(work, prepared, asked, held.refusal))
            return
        except (GateClosed, asyncio.CancelledError) as gone:
            message = gone.message if isinstance(gone, GateClosed) else "the run was cut off while this row was asked"
            self._context.attempts.settle(asked, error_kind=None)
            self._finish(work, prepared.row, conversations.not_attempted(asked, message))
            raise
        await self._keep(work, prepared, asked, result)

    async def _keep(self, work: SliceResults, prepared: PreparedRow, asked: RowState, result: ItemResult) -> None:
        if asked.account.attempts:
            durable = self._context.attempts.record(asked, result)
            try:
                await durable
            except asyncio.CancelledError:
                # It is on its way to the disk, and a part comes after it: what was received is kept.
                self._finish(work, prepared.row, result)
                raise
        self._finish(work, prepared.row, result)

    def _finish(self, work: SliceResults, row: int, result: ItemResult) -> None:
        if work.results[row] is not None:
            return  # a duplicate already marked as not attempted
        self._context.tally.add(result)
        if result.status is not Status.NOT_ATTEMPTED:
            too_many = self._error_rate.add(failed=result.status is Status.FAILED)
            if too_many is not None:
                self._context.gate.close(Stop.ERROR_RATE, too_many)
        work.finish(row, result)
        self._publish_if_whole(work)

    def _publish_if_whole(self, work: SliceResults) -> None:
        if not work.is_whole or work.plan.number not in self.feed.works or work.publishing:
            return
        work.publishing = True
        self._publishing.start(self._publish(work))

    async def _publish(self, work: SliceResults) -> None:
        try:
            self._standing.published[work.plan.number] = await self._context.publisher.publish(work)
            self.feed.forget(work)
        finally:
            work.published.set()

    async def _close(self) -> None:
        """Write what is left: open slices with the rows they have, the others as not attempted."""
        closed = self._context.gate.closed
        message = closed.message if closed else self._chosen.left_out
        await self.feed.close()
        full = closed is not None and closed.stop is Stop.DISK_FULL
        if self._fault is not None or full:
            await self._publishing.all_ended()
            return
        while (held := self._held.take()) is not None:
            why = closed.message if closed else held.refusal.message
            self._finish(held.work, held.prepared.row, self._context.conversations.not_attempted(held.asked, why))
        if closed is not None or not self._chosen.is_all:
            async for work in self.feed.rest():
                self._give_up(work, message)
                await self._publishing.all_ended()
            await write_unasked_parts(
                self._context.plan, self.feed, self._context.publisher, self._standing.published, message
            )
        await self._publishing.all_ended()
        if self._fault is None:
            await self._remove_orphans()

    def _give_up(self, work: SliceResults, message: str) -> None:
        for row, result in enumerate(work.results):
            if result is None and not work.kept[row]:
                asked = RowState(
                    RowRef(work.slice_id, row, None, work.plan.slice.part), self.feed.account_of(work, row)
                )
                self._finish(work, row, self._context.conversations.not_attempted(asked, message))
        self._publish_if_whole(work)  # where an earlier process had all of its rows, and none was left to give up

    async def _remove_orphans(self) -> None:
        """Old parts go only when the new set stands."""
        for orphan in self._context.plan.orphans:
            await asyncio.to_thread(self._context.output.remove, orphan.name)
            await self._context.ledger.drop_part(orphan.part_id)
