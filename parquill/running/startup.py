"""`plan_run`: startup. Recovers the ledger, merges finished portions, builds the plan."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from parquill.clock import Clock
from parquill.endpoint import realm_of
from parquill.ledger import QUARTER_US, DatedSpend, Spend
from parquill.planning import (
    LedgerArchive,
    Planner,
    Prepared,
    Recheck,
    Refresher,
    RetryChoice,
    RunOptions,
    RunPlan,
    asked_again,
    refuse_unless_agreed,
    refuse_unwanted,
    replaced_by,
)
from parquill.replaced_answers import Replaced
from parquill.results import PartInfo, read_part, results_in
from parquill.running.context import RunContext
from parquill.running.repair_output import set_aside, square
from parquill.storage import Storage
from parquill.threads import in_thread, wait_in

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what a person should know of it."""

    plan: RunPlan
    notices: tuple[str, ...] = ()
    replaced: Replaced | None = None
    """Answers that changed settings take out of the table."""


async def plan_run(opened: Prepared, context: RunContext, options: RunOptions, clock: Clock) -> Planned:
    """Return the plan, and what a person should know of it; sends nothing to the model.

    Raises `UsageError` for a manifest or an output that will not do, `ReplaceNeededError` where a changed
    setting would take answers out of the table and no one agreed.
    """
    planner = Planner(opened, context.output)
    parts = await in_thread(planner.standing)
    said: tuple[str, ...] = ()
    if options.repair:
        digests = await in_thread(planner.digests)
        parts, said = await in_thread(set_aside, opened, context, parts, digests)
    await _recover(context, parts, clock)
    await context.portions.take_over()
    if options.repair:
        said += await square(context, parts)
    loop = asyncio.get_running_loop()
    planned = await in_thread(_planned, planner, parts, opened, context, options, loop)
    plan = planned.plan
    _log.info(
        "plan: %d rows in %d slices, %d complete, %d open; %d rows are not answered yet",
        plan.manifest.rows,
        len(plan.complete) + len(plan.open),
        len(plan.complete),
        len(plan.open),
        plan.todo,
    )
    return dataclasses.replace(planned, notices=(*said, *planned.notices))


async def _recover(context: RunContext, parts: Mapping[str, PartInfo], clock: Clock) -> None:
    """Put right what a dead process left."""
    if parts and not await context.ledger.runs():
        await context.ledger.open_books(await in_thread(_spent_on, parts, context.output, clock.wall()))
    await context.ledger.recover({name: info.part_id for name, info in parts.items()})
    _log.debug("ledger recovered; %d parts stand in the output", len(parts))


def _spent_on(parts: Mapping[str, PartInfo], output: Storage, now: float) -> list[DatedSpend]:
    """What parts cost, by when their rows ended: when they were sent is known to a ledger only, and it is lost.

    A row that has no end counts as asked just now.
    """
    by_quarter: Counter[int] = Counter()
    for info in parts.values():
        for row in results_in(info, read_part(output, info.name)):
            at = now * 1_000_000 if row.finished_at is None else row.finished_at
            by_quarter[int(at // QUARTER_US)] += row.cost_pico or 0
    return [DatedSpend(quarter, Spend(0, pico, 0, 0, 0, 0, 0)) for quarter, pico in by_quarter.items() if pico]


def _planned(  # noqa: PLR0917 - a thread is handed all it works with
    planner: Planner,
    parts: Mapping[str, PartInfo],
    opened: Prepared,
    context: RunContext,
    options: RunOptions,
    loop: asyncio.AbstractEventLoop,
) -> Planned:
    emulated, realm, job = context.facts.emulated, realm_of(emulated=context.facts.emulated), opened.job
    replaced = None
    if options.sample is None:  # a sample's output is there to be replaced
        replaced = replaced_by(planner, parts, job, context.workspace, options, emulated=emulated)
    if replaced is not None:
        refuse_unwanted(replaced, job, options)
    told: tuple[str, ...] = () if replaced is None else (replaced.after(),)
    if options.again:
        again = refuse_unless_agreed(planner, parts, job, context.workspace, options, emulated=emulated)
        told += (again,) if again else ()
    archive = LedgerArchive(context.ledger, realm)
    plan = planner.plan(
        parts,
        archive,
        emulated=emulated,
        retry=RetryChoice(options.retry, job.retry.max_runs),
        allow_shrink=options.allow_shrink,
    )
    if options.portion is not None:
        return Planned(plan, told, replaced)
    plan = Recheck(opened, context.output, wait=wait_in(loop)).judged(plan, planner, archive, options.chosen)
    if options.again:
        plan = asked_again(planner, context.output, archive, plan, options.chosen)
    if not job.images.refresh:
        return Planned(plan, told, replaced)
    refresher = Refresher(planner, opened.images, context.output, archive, wait=wait_in(loop))
    plan = refresher.refreshed(plan, options.chosen)
    return Planned(plan, (*told, *refresher.notices), replaced)
