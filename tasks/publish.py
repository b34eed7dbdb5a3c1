"""publish: what came out, as artifacts for those who look at the server.

The table itself is there already: a part stands as soon as it is whole. What cannot be shown is
logged, and changes nothing about the run.
"""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from parquill.job import Job
from parquill.summary import RunSummary
from tasks.figures import summary_rows
from tasks.states import outcome
from tasks.watching import artifact_key


@task(name="publish", cache_policy=NO_CACHE, persist_result=False)
async def publish(job: Job, summary: RunSummary) -> None:
    """Show a run's figures as a table artifact."""
    logger = get_run_logger()
    logger.info("%s Output: %s", outcome(summary), summary.output)
    try:
        await acreate_table_artifact(
            [dict(row) for row in summary_rows(summary)],
            key=artifact_key(job.name, "summary"),
            description=f"{job.name}: {outcome(summary)}",
        )
    except Exception as fault:  # an artifact is shown, not needed
        logger.warning("the Prefect server does not take the summary (%r); the output is whole", fault)
