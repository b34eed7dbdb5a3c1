"""verify: the proof that output and manifest match, and that the books balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from parquill.job import Job
from parquill.text import count, printable
from parquill.threads import in_thread

if TYPE_CHECKING:
    from parquill.verification import Verification


@task(name="verify", cache_policy=NO_CACHE, persist_result=False)
async def verify(job: Job) -> Verification:
    """Hold the output against the manifest and the books against each other; changes nothing."""
    from parquill.verification import verify_job  # noqa: PLC0415 - the engine is loaded where it works

    verification = await in_thread(verify_job, job)
    logger, rows = get_run_logger(), verification.rows
    if verification.holds:
        logger.info("verified: one output row for each of %s manifest rows", count(rows["total"]))
    for finding in verification.findings:
        logger.error("does not match: %s (%s)", printable(finding.kind), count(finding.count))
    for note in verification.notes:
        logger.info("%s", printable(note))
    return verification
