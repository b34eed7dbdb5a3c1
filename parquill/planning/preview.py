"""Shows what a run would have to do, without the output's lock and without asking the endpoint.

It finds every reason to refuse a job file or a manifest, so a planned night fails before it begins. It only
reads. The run plans again under the lock, and that plan is the one that counts.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from parquill.clock import Clock
from parquill.endpoint import realm_of
from parquill.errors import ErrorKind
from parquill.job import Job, state_home
from parquill.ledger import ReadOnlyLedger
from parquill.manifest import Slice
from parquill.planning.failed_rows import RetryChoice
from parquill.planning.planner import Planner
from parquill.planning.preparation import Prepared, prepare
from parquill.planning.recheck import Recheck
from parquill.storage import Storage
from parquill.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunPreview:
    """Rows and slices of a manifest, and how many of them a run would open."""

    job: str
    model: str
    endpoint: str
    output: str
    rows: int
    """Rows of the manifest."""
    slices: int
    open_rows: int
    """Rows in slices whose part is missing or not its last word: at most so many are asked."""
    open_slices: int
    notices: tuple[str, ...] = ()


def preview_run(job: Job, clock: Clock, *, retry: frozenset[ErrorKind] = frozenset()) -> RunPreview:
    """Check a job against its manifest and its output; raises `UsageError` as the run would."""
    opened = prepare(job, clock)
    planner = Planner(opened, Storage.at(job.output.path))
    workspace = Workspace.of(job.output.path, state_home(), shared=job.output.shared)
    workspace.check()
    emulated = all(one.model.endpoint == "emulator" for one in job.each)
    with ReadOnlyLedger.at(workspace.ledger) as recorded:
        left = planner.unfinished(
            planner.standing(),
            lambda marks: recorded.failures(marks, realm_of(emulated=emulated)) if recorded else {},
            emulated=emulated,
            retry=RetryChoice(retry, job.retry.max_runs),
        )
    left = _with_refused(opened, planner, left)
    if job.images.refresh and opened.manifest.columns.images:
        left = opened.manifest.slices  # only the hosts know which pictures changed
    return RunPreview(
        job=job.name,
        model=job.model.name,
        endpoint=job.endpoint_as_shown,
        output=workspace.output,
        rows=opened.manifest.rows,
        slices=len(opened.manifest.slices),
        open_rows=sum(one.rows for one in left),
        open_slices=len(left),
        notices=tuple(opened.shape.notices),
    )


def _with_refused(opened: Prepared, planner: Planner, left: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """Return the slices that are left, and those of which rows that were refused would be asked now."""
    parts, open_parts, slices = planner.standing(), {one.part for one in left}, opened.manifest.slices
    complete = {number: parts[one.part] for number, one in enumerate(slices) if one.part not in open_parts}

    def judge() -> set[int]:
        with asyncio.Runner() as runner:
            try:
                return Recheck(opened, Storage.at(opened.job.output.path), wait=runner.run).would_ask(complete)
            finally:
                runner.run(opened.images.close())

    with ThreadPoolExecutor(1) as beside:  # the caller's thread may have a loop that runs
        numbers = beside.submit(contextvars.copy_context().run, judge).result()  # it stops with the caller
    return tuple(one for number, one in enumerate(slices) if one.part in open_parts or number in numbers)
