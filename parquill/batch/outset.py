"""`plan_run`: what a process begins with. The ledger put right, portions taken over, what is left to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from parquill.batch.endpoint import EMULATOR
from parquill.batch.options import RunOptions
from parquill.batch.place import Place
from parquill.batch.plan import Planner, Retry, RunPlan
from parquill.batch.prepare import Prepared
from parquill.batch.refresh import Refresher, waiting_in
from parquill.batch.shelf import LedgerShelf
from parquill.results import PartInfo


async def plan_run(opened: Prepared, place: Place, options: RunOptions) -> tuple[RunPlan, tuple[str, ...]]:
    """Return the plan, and what a person should know of it; sends nothing to the model.

    Raises `UsageError` for a manifest or an output that will not do.
    """
    planner = Planner(opened, place.output)
    parts = await asyncio.to_thread(planner.standing)
    await _recover(place, parts)
    await place.portions.take_over()
    return await asyncio.to_thread(_planned, planner, parts, opened, place, options, asyncio.get_running_loop())


async def _recover(place: Place, parts: Mapping[str, PartInfo]) -> None:
    """Put right what a dead process left."""
    if parts and not await place.ledger.runs():
        await place.ledger.open_books(sum(info.cost_pico for info in parts.values()))
    await place.ledger.recover({name: info.part_id for name, info in parts.items()})


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
        retry=Retry(options.retry),
        allow_shrink=options.allow_shrink,
    )
    if not opened.job.images.refresh or options.portion is not None:
        return plan, ()
    refresher = Refresher(planner, opened.images, place.output, shelf, wait=waiting_in(loop))
    return refresher.refreshed(plan, options.chosen), refresher.notices
