"""Coordinator: writes work orders, starts the processes, restarts portions of dead ones, passes stops on."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from parquill.answers import read_schema
from parquill.budget import Budget
from parquill.errors import JobError, Stop
from parquill.event_loop import to_its_end
from parquill.job import Job, LimitSettings
from parquill.planning import Rows
from parquill.portions.mailbox import Mailbox
from parquill.portions.quotas import Available, Quota, divide_quotas, most_quotas
from parquill.portions.row_division import divide, rows_to_ask
from parquill.portions.shared_run import SharedRun
from parquill.portions.work_order import (
    Coordinate,
    Handover,
    RunToShare,
    SharedOutcome,
    WorkOrder,
    handover_of,
    order_of,
    portion_folder,
    refuse_keys,
    with_shares,
)
from parquill.storage import beside
from parquill.threads import in_thread
from parquill.timeline_sampling import sampling

_log = logging.getLogger(__name__)

ROUNDS = 2
"""How often a portion is started: when its process dies, another one gets it."""


class WorkerPool(Protocol):
    """Processes that ask portions."""

    async def work(self, mailboxes: Sequence[Mailbox], commission: Handover) -> None:
        """Have each portion asked by a process of its own; return when all have ended, well or not."""


Give = Callable[[Sequence[Mailbox]], Awaitable[None]]


def share_among(job: Job, worker_pool: WorkerPool) -> Coordinate:
    """Return what `run_job` needs to have `run.workers` processes do a part of the work.

    Raises `JobError` for a job that must not be given to other processes.
    """
    refuse_keys(job)
    if any(one.base_url == "emulator" for one in job.model.endpoints or ()):
        raise JobError(
            f"model.endpoints: `emulator` lives in one process, and run.workers is {job.run.workers}: serve one with "
            "`parquill emulator` and name its address"
        )
    workers = job.run.workers

    async def spread(work: RunToShare) -> SharedOutcome | None:
        slices, free = await in_thread(rows_to_ask, work), _free(work)
        count = min(*(most_quotas(one, workers) for one in free), sum(one.todo for one in slices))
        if count < workers:
            work.notice(f"run.workers: {workers} processes were wanted; limits, budget and rows are enough for {count}")
        if count < 2:
            return None
        shares = zip(*(divide_quotas(one, count) for one in free), strict=True)
        orders = [
            _order(work, rows, share, sharers=count) for rows, share in zip(divide(slices, count), shares, strict=True)
        ]
        mailboxes = await asyncio.to_thread(_leave, work, orders)
        run = SharedRun(work, mailboxes)
        async with run.heartbeats(), work.attach(run, run), sampling(run, work.clock):
            commission = handover_of(work.opened.job, work.facts)
            await _asked(lambda left: worker_pool.work(left, commission), mailboxes, run)
        lost = [mailbox for mailbox in mailboxes if await asyncio.to_thread(mailbox.report) is None]
        return SharedOutcome(run.stopped, lost=bool(lost))

    return spread


async def _asked(give: Give, mailboxes: Sequence[Mailbox], run: SharedRun) -> None:
    """Give the orders out, and again those whose process died; cancelled, see that all come to their end."""
    await to_its_end(
        _rounds(give, mailboxes, run),
        on_cancel=lambda _: run.stop(Stop.SIGTERM, "the run was cancelled"),
        is_overdue=lambda: run.is_overdue,
    )


async def _rounds(give: Give, mailboxes: Sequence[Mailbox], run: SharedRun) -> None:
    left = list(mailboxes)
    for _ in range(ROUNDS):
        await give(left)
        left = [mailbox for mailbox in left if await asyncio.to_thread(mailbox.report) is None]
        if not left or run.stopped is not None:
            return


def _free(work: RunToShare) -> list[Available]:
    """What is left at each endpoint; the budget is the same for all."""
    return [
        _free_at(one.limits, used, work.budget) for one, used in zip(work.opened.job.each, work.day_used, strict=True)
    ]


def _free_at(limits: LimitSettings, day_used: int, budget: Budget) -> Available:
    return Available(
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        requests_today=None if limits.requests_per_day is None else max(0, limits.requests_per_day - day_used),
        max_in_flight=limits.max_in_flight,
        pico=budget.free_pico,
        tokens=budget.free_tokens,
    )


def _order(work: RunToShare, rows: Mapping[str, Rows], shares: Sequence[Quota], *, sharers: int) -> WorkOrder:
    """`shares`: what the portion may use at each endpoint, and the budget in any of them."""
    job, name = work.opened.job, uuid.uuid4().hex
    place = portion_folder(job, work.workspace, name)
    # A file that may be read again names no code: the schema itself stands in it.
    schema = job.output.schema_ if job.output.schema_ is None else read_schema(job.output.schema_)[1]
    output = job.output.model_copy(update={"path": beside(place, "/out"), "reuse_from": (), "schema_": schema})
    limits = [share.limits for share in shares]
    job = with_shares(job, limits).model_copy(update={"budget": shares[0].budget, "output": output})
    return WorkOrder(
        id=name,
        place=place,
        run=work.run,
        job=order_of(job),
        rows=rows,
        emulated=work.facts.emulated,
        retry=tuple(work.options.retry),
        deadline=work.options.deadline,
        crowded=work.crowded,
        sharers=sharers,
    )


def _leave(work: RunToShare, orders: Sequence[WorkOrder]) -> list[Mailbox]:
    """Write the orders before any process starts: after a crash the next run finds them."""
    folder = work.workspace.storage(work.workspace.portions.name)
    folder.make_ready()
    _log.info("rows are shared among %d processes", len(orders))
    mailboxes = []
    for order in orders:
        folder.write_bytes(f"{order.id}.json", order.dump())
        mailboxes.append(Mailbox(order.place))
        mailboxes[-1].open(order)
    return mailboxes
