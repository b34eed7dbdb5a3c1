"""The Python API: what a script or a notebook calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parquill.estimation import Estimate, EstimateOptions, estimate_job
from parquill.interruptible_call import wait_for
from parquill.job import Job, load_job
from parquill.planning import RunOptions
from parquill.portions import Coordinate, share_here
from parquill.running import run_job
from parquill.summary import RunSummary
from parquill.verification import Verification, verify_job

JobLike = str | Path | Mapping[str, Any] | Job
Overrides = Sequence[str] | Mapping[str, Any]


def run(job: JobLike, overrides: Overrides = (), *, options: RunOptions | None = None) -> RunSummary:
    """Run a job to its end or its stop; the same call goes on where it stopped.

    It may be called where an event loop is running, in a notebook for example; `run_async` is its
    awaitable form. Why a run stopped early stands in the summary.

    Args:
        job: a job file's path, a mapping of the same form, or a `Job`.
        overrides: `key.path=value` strings, or a mapping from key path to value.
        options: what `parquill run` has flags for.

    Returns:
        What became of the rows, what was spent, and `exit_status` as the command would have it.

    Raises:
        UsageError: the job, its manifest or its output cannot be used; nothing was sent.
        StorageFaultError: the disk failed.
        KeyboardInterrupt: the call was interrupted (Ctrl-C, a notebook's Stop button). The run has stopped by
            then as at Ctrl-C in the command: what was in flight is booked, every row stands in the output.
    """
    loaded = load_job(job, overrides)
    return wait_for(
        lambda interrupt: run_job(loaded, options, attach=interrupt.attach, spread=_spread(loaded, options)),
    )


async def run_async(job: JobLike, overrides: Overrides = (), *, options: RunOptions | None = None) -> RunSummary:
    """Run a job to its end or its stop in the running event loop; the same call goes on where it stopped.

    Args:
        job: a job file's path, a mapping of the same form, or a `Job`.
        overrides: `key.path=value` strings, or a mapping from key path to value.
        options: what `parquill run` has flags for.

    Returns:
        What became of the rows, what was spent, and `exit_status` as the command would have it.

    Raises:
        UsageError: the job, its manifest or its output cannot be used; nothing was sent.
        StorageFaultError: the disk failed.
        asyncio.CancelledError: the task was cancelled. What was in flight had its time, the books are closed;
            a second cancellation cuts off what is in flight.
    """
    loaded = await asyncio.to_thread(load_job, job, overrides)
    return await run_job(loaded, options, spread=_spread(loaded, options))


def _spread(job: Job, options: RunOptions | None) -> Coordinate | None:
    """What shares a run among processes of this machine; a sample, and answered rows, are asked by this one."""
    alone = options is not None and (options.sample is not None or options.again)
    return None if alone else share_here(job)


def estimate(job: JobLike, overrides: Overrides = (), *, options: EstimateOptions | None = None) -> Estimate:
    """Say what a job would cost and how long it would take; sends nothing unless `options.calibrate` is given.

    Args:
        job: a job file's path, a mapping of the same form, or a `Job`.
        overrides: `key.path=value` strings, or a mapping from key path to value.
        options: what `parquill estimate` has flags for.

    Returns:
        Rows, tokens, seconds, and the cost with its range, in pico-USD; `to_json` gives USD as decimal strings.

    Raises:
        UsageError: what a run would be refused for.
        KeyboardInterrupt: the call was interrupted.
    """
    loaded = load_job(job, overrides)
    return wait_for(lambda _: estimate_job(loaded, options))


def verify(job: JobLike, overrides: Overrides = ()) -> Verification:
    """Prove that output and manifest match, and that the books balance; changes nothing.

    Args:
        job: a job file's path, a mapping of the same form, or a `Job`.
        overrides: `key.path=value` strings, or a mapping from key path to value.

    Returns:
        What holds and what does not; `holds` is false where anything does not match.

    Raises:
        UsageError: the job or its manifest cannot be read.
    """
    return verify_job(load_job(job, overrides))
