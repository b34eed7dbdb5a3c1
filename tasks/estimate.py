"""estimate: what a job would cost, and the gate that a night passes before it sends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from parquill.job import Job
from parquill.text import printable
from tasks.figures import estimate_rows, estimate_words
from tasks.key import endpoint_keys
from tasks.progress_artifact import artifact_key

if TYPE_CHECKING:
    from parquill.estimation import Estimate


@task(name="estimate", cache_policy=NO_CACHE, persist_result=False)
async def estimate(job: Job, calibrate: int | None = None, by: str | None = None, compare: bool = False) -> Estimate:
    """Say what the job would cost now; sends nothing, or `calibrate` rows to know the rest better.

    With `by` also for each value of that column, with `compare` at other models' prices. Its artifact is
    `<job>-estimate`. Raises `UsageError` for what a run would be refused for.
    """
    from parquill.estimation import EstimateOptions, estimate_job  # noqa: PLC0415 - the engine is loaded where it works

    options = EstimateOptions(calibrate=calibrate, by=by, compare=compare)
    found = await estimate_job(job, options, key=await endpoint_keys(job))
    logger, text = get_run_logger(), estimate_words(found)
    logger.info("%s", text)
    for notice in found.notices:
        logger.warning("%s", printable(notice))
    try:
        rows = [dict(row) for row in estimate_rows(found)]
        await acreate_table_artifact(rows, key=artifact_key(job.name, "estimate"), description=f"{job.name}: {text}")
    except Exception as fault:  # it is shown, not needed
        logger.warning("the estimate is not shown (%r)", fault)
    return found


async def pass_gate(job: Job) -> None:
    """Let a night go on whose estimate is within `nightly.max_usd`; raises `EstimateAboveError`."""
    if job.nightly.max_usd is None:
        return
    from parquill.estimation import refuse_above  # noqa: PLC0415 - as above

    refuse_above(await estimate(job), job.nightly.max_usd, setting="nightly.max_usd")
