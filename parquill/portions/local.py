"""Portions asked by processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence

from parquill.batch import Attach, RunLoop, Watch
from parquill.batch.portions import STOP, Order, Spread
from parquill.clock import Clock
from parquill.errors import JobError, Stop
from parquill.job import Job, Secret
from parquill.portions.spread import Signals, spread_over, unheard
from parquill.storage import Storage

_LOOK_SECONDS = 1.0


class LocalCrew:
    """Starts a Python for each order, and waits for it."""

    def __init__(self, key: Secret | None = None) -> None:
        """`key`: the endpoint's, where the processes do not find it in their environment."""
        self._key = key

    async def work(self, orders: Sequence[Order]) -> None:
        await asyncio.gather(*(self._ask(order) for order in orders))

    async def _ask(self, order: Order) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parquill.portions", stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        told = {"order": order.dump().decode(), "key": self._key.reveal() if self._key is not None else None}
        with contextlib.suppress(OSError):  # it died already; its order is asked again
            await process.communicate(json.dumps(told).encode())
        await process.wait()


def spread_here(job: Job, *, signals: Signals = unheard) -> Spread | None:
    """Return what spreads a job over this machine's processes; None where it wants one.

    Raises `JobError` where it wants a cluster's: only a flow has one.
    """
    if job.run.workers == 1:
        return None
    if job.run.engine != "local":
        raise JobError(
            f"run.engine: {job.run.engine} needs a flow: python -m flows.batch JOB. "
            "Or share the run among this machine's processes: --set run.engine=local"
        )
    return spread_over(job.run.workers, LocalCrew(), signals=signals)


def heeding(order: Order, attach: Attach, clock: Clock, *, parent: int | None = None) -> Attach:
    """Return an `attach` that stops a portion when its run says so, or when the process `parent` is gone."""

    @contextlib.asynccontextmanager
    async def attached(loop: RunLoop, watch: Watch) -> AsyncIterator[None]:
        looking = asyncio.create_task(_look(loop), name="parquill-heed")
        try:
            async with attach(loop, watch):
                yield
        finally:
            looking.cancel()

    async def _look(loop: RunLoop) -> None:
        output = Storage.at(order.output)
        while True:
            if parent is not None and os.getppid() != parent:
                loop.stop(Stop.SIGTERM, "the run's first process is gone")
                return
            if await asyncio.to_thread(output.exists, STOP):
                loop.stop(Stop.SIGTERM, "the run was told to stop")
                return
            await clock.sleep(_LOOK_SECONDS)

    return attached
