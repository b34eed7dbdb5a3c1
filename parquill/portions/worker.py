"""Worker entry point: runs one portion, sends progress, obeys stops.

It stops when the run says so, when the run's heartbeat ends, and when the parent process is gone (where it was
started by one that it can see). Started again after its process died, it resumes from its own ledger, and counts
its share of the per-minute limits as used up. If that ledger was on a machine that died, what was spent is not
known: the worker asks nothing, and its whole share counts as spent (`merge.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator
from typing import Any, Protocol

from parquill.calibration import CalibrationData
from parquill.clock import Clock
from parquill.endpoint import Keys
from parquill.errors import OutputError, Stop, StorageFaultError, StorageFullError
from parquill.event_loop import meanwhile
from parquill.job import Job, Secret
from parquill.ledger import ReadOnlyLedger
from parquill.observers import Attach, Stoppable, Watched
from parquill.planning import RunOptions
from parquill.portions.mailbox import BEAT, LEASE, Mailbox, PortionProgress, PortionReport
from parquill.portions.work_order import Handover, WorkOrder
from parquill.run_dependencies import MACHINE, RunDependencies
from parquill.storage import is_remote
from parquill.summary import RunSummary

_LOOK_SECONDS = 1.0


class RunJob(Protocol):
    """Runs a job, as `run_job` does; handed in, since `run_job` merges portions itself."""

    async def __call__(
        self,
        job: Job,
        options: RunOptions | None = ...,
        *,
        key: Secret | None = ...,
        attach: Attach = ...,
        clock: Clock | None = ...,
        dependencies: RunDependencies = ...,
    ) -> RunSummary:
        """Run a job, as `run_job` does."""


async def ask_portion(
    mailbox: Mailbox,
    commission: Handover,
    *,
    run_job: RunJob,
    key: Keys,
    clock: Clock,
    parent: int | None = None,
    dependencies: RunDependencies = MACHINE,
) -> RunSummary:
    """Ask a portion to its end or its stop, and leave its report.

    Relative paths are seen from where this process stands. `commission` is what the run handed over; `key` is the
    endpoint's, where it is not in the environment; `parent`: stop when this is not our parent process any longer.
    Raises as `run_job` does, and `OutputError` for a portion that is not to be asked from here.
    """
    order = await asyncio.to_thread(mailbox.order)
    again = order.workspace.ledger.exists()
    if is_remote(order.output) and not again and await asyncio.to_thread(lambda: mailbox.begun):
        raise OutputError(
            "another machine has begun this portion, and what it spent cannot be seen from here: it is not asked again"
        )
    await asyncio.to_thread(mailbox.begin)
    options = order.options(crowded=order.crowded or again, base_url=commission.base_url)
    attach = _observer(mailbox, clock, parent)
    how = {"key": key, "clock": clock, "attach": attach, "dependencies": dependencies}
    return await _run(run_job, order, mailbox, order.settings(commission), options, **how)


async def close_portion(
    order: WorkOrder,
    mailbox: Mailbox,
    job: Job,
    clock: Clock,
    *,
    run_job: RunJob,
    dependencies: RunDependencies = MACHINE,
) -> RunSummary:
    """Close a portion of the run of `job` that a process died over: it sends nothing and leaves its report."""
    options = dataclasses.replace(order.options(crowded=False), deadline=0.0)
    how = {"key": Secret("unused"), "clock": clock, "dependencies": dependencies}
    return await _run(run_job, order, mailbox, order.settings_to_close(job), options, **how)


async def _run(
    run_job: RunJob, order: WorkOrder, mailbox: Mailbox, settings: Job, options: RunOptions, **how: Any
) -> RunSummary:
    summary = await run_job(settings, options, **how)
    await asyncio.to_thread(_report, order, mailbox, summary)
    return summary


def _report(order: WorkOrder, mailbox: Mailbox, summary: RunSummary) -> None:
    with ReadOnlyLedger.at(order.workspace.ledger) as recorded:
        assert recorded is not None
        spent, by_quarter, evidence = recorded.totals(), tuple(recorded.spent()), tuple(recorded.evidence())
    stop = summary.stopped_by
    why = None if stop is None else (stop, summary.stop_message or "")
    mailbox.close(PortionReport(spent, why, CalibrationData.kept(order.workspace), evidence, by_quarter))


def _observer(mailbox: Mailbox, clock: Clock, parent: int | None) -> Attach:
    """Return the observer that `run_job` enters: it obeys stops and writes progress."""

    @contextlib.asynccontextmanager
    async def attach(loop: Stoppable, watch: Watched) -> AsyncIterator[None]:
        try:
            async with meanwhile(_hear(mailbox, loop, clock, parent), _tell(mailbox, watch, clock)):
                yield
        finally:
            await _show(mailbox, watch, clock)

    return attach


async def _hear(mailbox: Mailbox, loop: Stoppable, clock: Clock, parent: int | None) -> None:
    last, since, hurried = None, clock.monotonic(), False
    while True:
        word = await asyncio.to_thread(mailbox.told)
        if word is not None and word != last:
            last, since = word, clock.monotonic()
            if word.grace is not None and not hurried:
                loop.stop(Stop.SIGTERM, "the run was told to stop", grace=word.grace)
                hurried = word.grace == 0
        if clock.monotonic() - since > LEASE or (parent is not None and os.getppid() != parent):
            loop.stop(Stop.SIGTERM, "the run's first process is gone")
            return
        await clock.sleep(_LOOK_SECONDS)


async def _tell(mailbox: Mailbox, watch: Watched, clock: Clock) -> None:
    while True:
        await _show(mailbox, watch, clock)
        await clock.sleep(BEAT / 2)


async def _show(mailbox: Mailbox, watch: Watched, clock: Clock) -> None:
    with contextlib.suppress(StorageFaultError, StorageFullError):  # written again at the next turn
        await asyncio.to_thread(mailbox.show, PortionProgress.of(watch.state(), clock.wall()))
