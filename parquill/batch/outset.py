"""`plan_run`: what a process begins with. The ledger put right, portions taken over, what is left to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from parquill.batch.endpoint import EMULATOR
from parquill.batch.failed_rows import Retry
from parquill.batch.options import RunOptions
from parquill.batch.place import Place
from parquill.batch.plan import Planner, RunPlan
from parquill.batch.prepare import Prepared
from parquill.batch.refresh import Refresher, waiting_in
from parquill.batch.shelf import LedgerShelf
from parquill.clock import Clock
from parquill.ledger import QUARTER_US, DatedSpend, Spend
from parquill.results import PartInfo, read_part, results_in
from parquill.storage import Storage


async def plan_run(
    opened: Prepared, place: Place, options: RunOptions, clock: Clock
) -> tuple[RunPlan, tuple[str, ...]]:
    """Return the plan, and what a person should know of it; sends nothing to the model.

    Raises `UsageError` for a manifest or an output that will not do.
    """
    planner = Planner(opened, place.output)
    parts = await asyncio.to_thread(planner.standing)
    await _recover(place, parts, clock)
    await place.portions.take_over()
    return await asyncio.to_thread(_planned, planner, parts, opened, place, options, asyncio.get_running_loop())


async def _recover(place: Place, parts: Mapping[str, PartInfo], clock: Clock) -> None:
    """Put right what a dead process left."""
    if parts and not await place.ledger.runs():
        await place.ledger.open_books(await asyncio.to_thread(_spent_on, parts, place.output, clock.wall()))
    await place.ledger.recover({name: info.part_id for name, info in parts.items()})


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
    place: Place,
    options: RunOptions,
    loop: asyncio.AbstractEventLoop,
) -> tuple[RunPlan, tuple[str, ...]]:
    shelf = LedgerShelf(place.ledger, EMULATOR if place.facts.emulated else "")
    plan = planner.plan(
        parts,
        shelf,
        emulated=place.facts.emulated,
        retry=Retry(options.retry, opened.job.retry.max_runs),
        allow_shrink=options.allow_shrink,
    )
    if not opened.job.images.refresh or options.portion is not None:
        return plan, ()
    refresher = Refresher(planner, opened.images, place.output, shelf, wait=waiting_in(loop))
    return refresher.refreshed(plan, options.chosen), refresher.notices
