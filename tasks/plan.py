"""plan: what there is to do, before anything is locked or sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from parquill.clock import SystemClock
from parquill.job import Job
from parquill.text import count, printable
from parquill.threads import in_thread

if TYPE_CHECKING:
    from parquill.planning import RunPreview


@task(name="plan", cache_policy=NO_CACHE, persist_result=False)
async def plan(job: Job) -> RunPreview:
    """Check the job against its manifest and its output; raises `UsageError`."""
    from parquill.planning import preview_run  # noqa: PLC0415 - the engine is loaded where it works

    preview = await in_thread(preview_run, job, SystemClock())
    logger = get_run_logger()
    logger.info(
        "%s: %s of %s rows are in slices that are not finished (%s of %s); %s at %s -> %s",
        preview.job,
        count(preview.open_rows),
        count(preview.rows),
        count(preview.open_slices),
        count(preview.slices),
        preview.model,
        preview.endpoint,
        preview.output,
    )
    for notice in preview.notices:
        logger.warning("%s", printable(notice))
    return preview
