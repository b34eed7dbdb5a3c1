"""publish: the report, and what came out as artifacts for those who look at the server.

The table itself is there already: a part stands as soon as it is whole. A report that cannot be
written and an artifact that the server does not take are logged, and change nothing about the run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import acreate_image_artifact, acreate_link_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from parquill.job import Job, state_home
from parquill.summary import RunSummary
from parquill.timeline import TimelineSample
from tasks.cost_chart import as_address, cost_curve
from tasks.figures import summary_rows
from tasks.progress_artifact import artifact_key
from tasks.states import outcome


@task(name="publish", cache_policy=NO_CACHE, persist_result=False)
async def publish(job: Job, summary: RunSummary) -> Path | None:
    """Write the report and show a run's figures; returns where the report is.

    Artifacts of a job: `<job>-summary` (a table), `<job>-report` (a link), `<job>-cost` (a curve).
    """
    text = outcome(summary)
    get_run_logger().info("%s Output: %s", text, summary.output)
    report: Path | None = None
    with _told("the report was not written"):
        report = await _report(job, summary)
    with _told("the summary is not shown"):
        rows = [dict(row) for row in summary_rows(summary)]
        await acreate_table_artifact(rows, key=artifact_key(job.name, "summary"), description=f"{job.name}: {text}")
    if report is not None:
        with _told("the report is not linked"):
            await acreate_link_artifact(
                report.as_uri(), str(report), key=artifact_key(job.name, "report"), description=f"{job.name}: {text}"
            )
    with _told("the cost is not drawn"):
        if (curve := cost_curve(await asyncio.to_thread(_timeline, job, summary))) is not None:
            await acreate_image_artifact(
                as_address(curve), key=artifact_key(job.name, "cost"), description=f"{job.name}: cost over time"
            )
    return report


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Log what goes wrong in the body, and go on."""
    try:
        yield
    except Exception as fault:  # it is shown, not needed: the output is whole
        get_run_logger().warning("%s (%r); the output stays as it is", what, fault)


async def _report(job: Job, summary: RunSummary) -> Path:
    """Write the report anew, unless nothing happened since the last one."""
    from parquill.report import write_report  # noqa: PLC0415 - the engine is loaded where it works
    from parquill.workspace import Workspace  # noqa: PLC0415 - as above

    last = Workspace.of(job.output.path, state_home(), shared=job.output.shared).report
    if summary.run_id or not last.exists():
        return await write_report(job)
    return last


def _timeline(job: Job, summary: RunSummary) -> tuple[TimelineSample, ...]:
    """What the run's own record has of its course; nothing for a run that had nothing to do."""
    from parquill.report import read_nights  # noqa: PLC0415 - as above
    from parquill.workspace import Workspace  # noqa: PLC0415 - as above

    if not summary.run_id:
        return ()
    record = read_nights(
        Workspace.of(job.output.path, state_home(), shared=job.output.shared).storage(), summary.run_id
    ).current
    return record.timeline if record is not None else ()
