"""Orders out, processes at work, those that died asked again, stops passed on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from parquill.batch.portions import (
    REPORT,
    Order,
    Spread,
    Spreading,
    Stopped,
    mark_stopped,
    order_of,
    portion_output,
)
from parquill.errors import Stop
from parquill.portions.rows import divide, rows_to_ask
from parquill.portions.shares import Free, Share, most_shares, share_out
from parquill.storage import Storage

ROUNDS = 3
"""How often a portion is given to a process: whoever dies over it leaves it to another."""


class Crew(Protocol):
    """Processes that ask portions."""

    async def work(self, orders: Sequence[Order]) -> None:
        """Have each order asked by a process of its own; return when all have ended, well or not."""


class Brake:
    """Stops a run that is being shared; it takes what `RunLoop.stop` takes."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._orders = orders
        self.stopped: Stopped | None = None

    def stop(self, reason: Stop, message: str, *, grace: float = 0.0) -> None:
        """Tell every portion to stop; the first reason stands. They give what is in flight its time."""
        del grace
        if self.stopped is None:
            self.stopped = (reason, message)
            mark_stopped(self._orders)


Signals = Callable[[Brake], contextlib.AbstractContextManager[None]]


def unheard(_: Brake) -> contextlib.AbstractContextManager[None]:
    """Nobody stops it."""
    return contextlib.nullcontext()


def spread_over(workers: int, crew: Crew, *, signals: Signals = unheard) -> Spread:
    """Return what `run_job` is given to have `workers` processes of a crew do a part of the work.

    `signals` is entered while they work, with what stops them.
    """

    async def spread(work: Spreading) -> Stopped | None:
        slices = await asyncio.to_thread(rows_to_ask, work)
        free = _free(work)
        count = min(most_shares(free, workers), len(slices))
        if count < 2:
            return None
        orders = [
            _order(work, portion, share)
            for portion, share in zip(divide(slices, count), share_out(free, count), strict=True)
        ]
        await asyncio.to_thread(_leave, work, orders)
        brake = Brake(orders)
        with signals(brake):
            await _asked(crew, orders, brake)
        return brake.stopped

    return spread


async def _asked(crew: Crew, orders: Sequence[Order], brake: Brake) -> None:
    """Give the orders out, and again those whose process died; cancelled, see that all come to their end."""
    working = asyncio.ensure_future(_rounds(crew, orders, brake))
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError:
            brake.stop(Stop.SIGTERM, "the run was cancelled")
    working.result()


async def _rounds(crew: Crew, orders: Sequence[Order], brake: Brake) -> None:
    left = list(orders)
    for _ in range(ROUNDS):
        await crew.work(left)
        left = [dataclasses.replace(one, crowded=True) for one in left if not Storage.at(one.output).exists(REPORT)]
        if not left or brake.stopped is not None:
            return


def _free(work: Spreading) -> Free:
    limits, budget = work.opened.job.limits, work.budget
    return Free(
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        requests_today=None if limits.requests_per_day is None else max(0, limits.requests_per_day - work.day_used),
        max_in_flight=limits.max_in_flight,
        pico=budget.free_pico,
        tokens=budget.free_tokens,
    )


def _order(work: Spreading, portion: Mapping[str, tuple[int, ...]], share: Share) -> Order:
    job, name = work.opened.job, uuid.uuid4().hex
    output = job.output.model_copy(update={"path": portion_output(job, work.workspace, name), "reuse_from": ()})
    job = job.model_copy(update={"limits": share.limits, "budget": share.budget, "output": output})
    return Order(
        id=name,
        run=work.run,
        job=order_of(job),
        without={part: list(rows) for part, rows in portion.items()},
        emulated=work.facts.emulated,
        base_url=work.facts.base_url if job.model.endpoint == "emulator" else None,
        folder=str(Path.cwd()),
        share_pico=share.pico,
        retry=tuple(work.options.retry),
        deadline=work.options.deadline,
    )


def _leave(work: Spreading, orders: Sequence[Order]) -> None:
    """Note what is asked before anyone begins: whatever happens, the next run finds it."""
    folder = Storage.at(work.workspace.portions)
    folder.make_ready()
    for order in orders:
        Storage.at(order.output).make_ready()
        data = order.dump()
        folder.write_whole(f"{order.id}.json", lambda sink, data=data: sink.write(data))  # type: ignore[misc]
