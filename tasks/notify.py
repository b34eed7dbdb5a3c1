"""notify: posts a run's end to the job's webhook. A failure changes nothing about the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from parquill.clock import SystemClock
from parquill.job import Job
from tasks.states import Night

if TYPE_CHECKING:
    from parquill.notify import Notice


async def tell(job: Job, night: Night) -> None:
    """Say how a night went, where the job names an address to notify."""
    if job.nightly.notify.webhook is not None:
        await _notify(job, notice_of(job, night))


def notice_of(job: Job, night: Night) -> Notice:
    """Return what is said of a night."""
    from parquill.notify import Event, Notice  # noqa: PLC0415 - a client for HTTP is loaded where there is word

    summary = night.summary
    return Notice(
        event=Event(_event(night)),
        job=job.name,
        text=night.state.message or "",
        date=night.date.isoformat(),
        output=None if summary is None else summary.output,
        report=None if night.report is None else str(night.report),
        summary=None if summary is None else summary.to_json(),
    )


def _event(night: Night) -> str:
    summary = night.summary
    if night.state.is_failed() or summary is None:
        return "failed"
    if summary.stopped_by is not None:
        return "stopped"
    return "nothing_to_do" if summary.requests == 0 and not summary.replaced else "finished"


@task(name="notify", cache_policy=NO_CACHE, persist_result=False)
async def _notify(job: Job, notice: Notice) -> None:
    from parquill.notify import notify  # noqa: PLC0415 - as above

    delivery = await notify(job.nightly.notify, notice, SystemClock())
    if delivery.fault is not None:
        get_run_logger().warning(
            "nightly.notify.webhook did not take the word after %s attempts: %s; the run stays as it is",
            delivery.attempts,
            delivery.fault,
        )
