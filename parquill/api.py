"""The Python API: what a script or a notebook calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from parquill.batch import RunOptions, run_job
from parquill.estimate import Estimate, EstimateOptions, estimate_job
from parquill.job import Job, load_job
from parquill.portions import spread_here
from parquill.summary import RunSummary
from parquill.verify import Verification, verify_job

T = TypeVar("T")

JobLike = str | Path | Mapping[str, Any] | Job
Overrides = Sequence[str] | Mapping[str, Any]


def run(job: JobLike, overrides: Overrides = (), *, options: RunOptions | None = None) -> RunSummary:
    """Run a job to its end or its stop; the same call goes on where it stopped.

    Raises `UsageError` before anything is sent, `StorageFaultError` when the disk failed; why a
    run stopped early stands in the summary.
    """
    loaded = load_job(job, overrides)
    return _outside_any_loop(lambda: run_job(loaded, options, spread=spread_here(loaded)))


def estimate(job: JobLike, overrides: Overrides = (), *, options: EstimateOptions | None = None) -> Estimate:
    """Say what a job would cost and how long it would take; sends nothing unless `options.calibrate` is given.

    Raises `UsageError` for what a run would be refused for.
    """
    loaded = load_job(job, overrides)
    return _outside_any_loop(lambda: estimate_job(loaded, options))


def verify(job: JobLike, overrides: Overrides = ()) -> Verification:
    """Prove that output and manifest match, and that the books balance; changes nothing."""
    return verify_job(load_job(job, overrides))


def _outside_any_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end; a notebook's own loop is left alone, on its own thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()
