"""execute: runs the job in the flow's own event loop, or in several processes (`run.workers`)."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client

from parquill.clock import SystemClock
from parquill.gc_tuning import seldom_collected
from parquill.job import Job, find_api_key
from tasks.key import endpoint_keys
from tasks.progress_artifact import watched

if TYPE_CHECKING:
    from parquill.planning import RunOptions
    from parquill.portions import WorkerPool
    from parquill.summary import RunSummary


async def execute(job: Job, options: RunOptions | None = None) -> RunSummary:
    """Run the job to its end or its stop; the same again goes on where it stopped.

    Raises `UsageError` before anything is sent.
    """
    async with _pool_of(job, options) as worker_pool:
        return await execute_with(job, options, worker_pool)


@task(name="execute", cache_policy=NO_CACHE, persist_result=False)
async def execute_with(job: Job, options: RunOptions | None, worker_pool: WorkerPool | None) -> RunSummary:
    """Run the job with several processes; a row's retries are the engine's own.

    The task has none: what stops a whole run (a budget, a key, a full disk) would stop it again.
    """
    from parquill.portions import share_among  # noqa: PLC0415 - the engine is loaded where it works
    from parquill.running import run_job  # noqa: PLC0415 - as above

    key = await endpoint_keys(job)
    attach = watched(job.name, get_run_logger(), SystemClock())
    spread = None if worker_pool is None else share_among(job, worker_pool)
    with seldom_collected():
        return await run_job(job, options, key=key, attach=attach, spread=spread)


@contextlib.asynccontextmanager
async def _pool_of(job: Job, options: RunOptions | None) -> AsyncIterator[WorkerPool | None]:
    """The processes that the job is shared among: this machine's, or a cluster's; None where it wants one."""
    if job.run.workers == 1 or (options is not None and options.sample is not None):
        yield None
    elif job.run.engine == "local":
        from parquill.portions import LocalPool  # noqa: PLC0415 - as above

        # Processes of ours find a key where we do, save in a block of Prefect's.
        found = all(find_api_key(one.model) is not None for one in job.each)
        yield LocalPool(None if found else await endpoint_keys(job))
    else:
        from tasks.cluster import ClusterPool, task_runner  # noqa: PLC0415 - needed by few

        async with get_client() as client:
            worker_pool = ClusterPool(task_runner(job.run), contextvars.copy_context(), str(client.api_url))
            try:
                yield worker_pool
            finally:
                await worker_pool.close()
