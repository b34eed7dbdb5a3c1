"""execute: the run itself, in the flow's own event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from parquill.clock import SystemClock
from parquill.garbage import seldom_collected
from parquill.job import Job
from tasks.key import endpoint_key
from tasks.watching import watched

if TYPE_CHECKING:
    from parquill.batch import RunOptions
    from parquill.summary import RunSummary


@task(name="execute", cache_policy=NO_CACHE, persist_result=False)
async def execute(job: Job, options: RunOptions | None = None) -> RunSummary:
    """Run the job to its end or its stop; the same task goes on where it stopped.

    A row's retries are the engine's own. The task has none: what stops a whole run (a budget,
    a key, a full disk) would stop it again. Raises `UsageError` before anything is sent.
    """
    from parquill.batch import run_job  # noqa: PLC0415 - the engine is loaded where it works

    key = await endpoint_key(job.model)
    attach = watched(job.name, get_run_logger(), SystemClock())
    with seldom_collected():
        return await run_job(job, options, key=key, attach=attach)
