"""`run_job`: runs a job and returns its summary.

Before the first request it checks everything that a run needs: schema and manifest, key, lock and output,
endpoint, price and budget, ids, free disk space.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging

from parquill.clock import Clock, SystemClock
from parquill.endpoint import Keys, connected, facts_of, keys_of
from parquill.job import Job, state_home
from parquill.observers import Attach, unwatched
from parquill.open_files import raise_limit
from parquill.planning import RunOptions, prepare
from parquill.portions import Coordinate, Portions
from parquill.run_dependencies import MACHINE, RunDependencies, endpoint_of
from parquill.running.context import RunContext
from parquill.running.sample_run import draw_sample, sample_workspace
from parquill.running.session import Session
from parquill.storage import Disk, Storage
from parquill.summary import RunSummary
from parquill.threads import in_thread
from parquill.workspace import Workspace

_log = logging.getLogger(__name__)


async def run_job(
    job: Job,
    options: RunOptions | None = None,
    *,
    key: Keys = None,
    attach: Attach = unwatched,
    clock: Clock | None = None,
    disk: Disk | None = None,
    spread: Coordinate | None = None,
    dependencies: RunDependencies = MACHINE,
) -> RunSummary:
    """Run a job to its end or its stop, and return what became of it.

    `key` is the endpoint's, or by variable those of several, where the caller has them from elsewhere than the
    environment. `attach`
    is entered while rows are asked; `disk` stands for the output's disk in tests; `spread` has
    other processes do a part of the work; `surroundings` are others where a run is simulated.
    Raises `UsageError` before anything is sent, `StorageFaultError` when the disk failed.

    With `options.sample` the job's own output stays as it is; the summary tells of the sample's.
    """
    clock, options = clock or SystemClock(), options or RunOptions()
    raise_limit()
    run = functools.partial(_run, key=key, attach=attach, clock=clock, disk=disk, dependencies=dependencies)
    if options.sample is None:
        return await run(job, options, spread=spread)
    opened = await in_thread(prepare, job, clock)
    with sample_workspace(job).lock(clock):
        sample = await in_thread(draw_sample, opened, options.sample)
        summary = await run(sample.job, dataclasses.replace(options, allow_shrink=True), spread=None)
        compared, notices = await in_thread(sample.compared), (*summary.notices, sample.notice)
        return dataclasses.replace(summary, sample=compared, notices=notices)


def sample_job(job: Job, number: int, clock: Clock | None = None) -> Job:
    """Return the job that a sample of `number` rows is: draws them, sends nothing; raises `UsageError`."""
    clock = clock or SystemClock()
    opened = prepare(job, clock)
    with sample_workspace(job).lock(clock):
        return draw_sample(opened, number).job


async def _run(
    job: Job,
    options: RunOptions,
    *,
    key: Keys,
    attach: Attach,
    clock: Clock,
    disk: Disk | None,
    spread: Coordinate | None,
    dependencies: RunDependencies,
) -> RunSummary:
    """Run one job into its output."""
    opened = await in_thread(prepare, job, clock)
    portion = options.portion
    if portion is not None:
        opened = dataclasses.replace(opened, manifest=opened.manifest.only(portion.rows.keys()))
    secrets = keys_of(job, key)
    workspace = Workspace.of(job.output.path, state_home(), shared=job.output.shared)
    with workspace.lock(clock):
        output = Storage.at(job.output.path, disk=disk, private=portion is not None)
        await asyncio.to_thread(output.make_ready)
        await asyncio.to_thread(output.remove_leftovers, clock.wall())
        ledger = await asyncio.to_thread(dependencies.open_ledger, workspace.ledger, job=job.name, clock=clock)
        try:
            where = portion.base_url if portion is not None else None
            log = workspace.emulator_log
            async with connected(job, secrets, dependencies.connect, log, where=where, clock=clock) as endpoints:
                facts = facts_of(endpoints)
                source = "unknown" if facts.price is None else facts.price.source.value
                _log.info("job %s: endpoint %s, price from: %s", job.name, facts.base_url, source)
                if portion is not None:
                    facts = dataclasses.replace(facts, emulated=portion.emulated)
                portions = Portions(job, workspace, ledger, clock, spread, run_job=run_job, dependencies=dependencies)
                context = RunContext(workspace, output, ledger, endpoints, facts, portions, dependencies.new_random())
                return await Session(opened, context, options, clock).run(attach)
        finally:
            await asyncio.to_thread(ledger.close)


__all__ = ["endpoint_of", "run_job", "sample_job"]
