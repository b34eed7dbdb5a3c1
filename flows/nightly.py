"""A job that runs every night: plan -> estimate -> execute -> verify -> publish -> notify, and the rest tomorrow.

    python -m flows.nightly configs/caption.yaml --set model.endpoint=emulator
    python -m flows.nightly JOB --first 2026-11-01 --last 2026-11-07       the nights that were missed

`{date}` in the job's paths is the night's date, at which the run was due; without it the job is
"all new rows since the last run". A night with nothing new is a success that says so; one that
could cost more than `nightly.max_usd` sends nothing and fails. At `nightly.until` a run stops
cleanly. A backfill runs its nights one after the other, and goes on with the next when one fails
for a reason of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import Field

from flows.command import REPLACE, run_flow
from parquill.errors import ParquillError
from parquill.job import Job, load_job
from parquill.nightly_schedule import backfill, date_of, deadline_of
from tasks.estimate import pass_gate
from tasks.execute import execute
from tasks.notify import tell
from tasks.plan import plan
from tasks.publish import publish
from tasks.states import Night, all_nights, failed, final_state, mismatched
from tasks.verify import verify

Overrides = Sequence[str] | Mapping[str, Any]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-11-23"])]
"""The server holds a parameter against the pattern when a run is created."""


# As in `batch`: `load_job` checks the parameters, where the run is.
@flow(name="parquill-nightly", validate_parameters=False)
async def nightly(
    job: Job | Path,
    overrides: Overrides = (),
    first: Date | None = None,
    last: Date | None = None,
    replace: bool = False,
) -> State[Any]:
    """Run a job for the night that is due, or for every night of a range.

    Args:
        job: a job file's path, or what would stand in one.
        overrides: `key.path=value` texts, or a mapping from key paths to values.
        first: the first date of a backfill; without it the night that is due.
        last: its last date, `first` where it is not given.
        replace: accept that changed settings take answers out of the table; a job that people edit often says so
            itself (`output.on_change: replace`).
    """
    due: dt.datetime = flow_run.scheduled_start_time
    try:
        settings = load_job(job, overrides).nightly
        dates = (date_of(settings, due),) if first is None else backfill(first, last)
    except ParquillError as error:
        return failed(error)
    nights: list[Night] = []
    for date in dates:
        nights.append(await _night(job, overrides, date, deadline_of(settings, due), replace))
        if nights[-1].ends_all:
            break
    return all_nights(nights, missed=dates[len(nights) :])


async def _night(job: Job | Path, overrides: Overrides, date: dt.date, deadline: float | None, replace: bool) -> Night:
    try:
        loaded = load_job(job, overrides, date=date)
    except ParquillError as error:
        return Night(date, failed(error))
    try:
        night = await _run(loaded, date, deadline, replace)
    except Exception as fault:  # word goes out of this too; then it is Prefect's to show
        await tell(loaded, Night(date, failed(fault)))
        raise
    await tell(loaded, night)
    return night


async def _run(job: Job, date: dt.date, deadline: float | None, replace: bool) -> Night:
    from parquill.planning import RunOptions  # noqa: PLC0415 - the engine is loaded where it works

    try:
        if (await plan(job)).open_rows:
            await pass_gate(job)
        summary = await execute(job, RunOptions(deadline=deadline, replace=replace))
        verification = await verify(job)
    except ParquillError as error:
        return Night(date, failed(error))
    report = await publish(job, summary)
    state = final_state(summary) if verification.holds else mismatched(summary, verification)
    return Night(date, state, report)


if __name__ == "__main__":
    run_flow(
        nightly,
        {
            "first": ("the first date of a backfill (2026-11-23)", str),
            "last": ("its last date", str),
            "replace": REPLACE,
        },
    )
