"""portion: asks one portion of a shared run, on the machine that runs the task."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from parquill.clock import SystemClock
from parquill.gc_tuning import seldom_collected
from parquill.job import load_written
from tasks.key import endpoint_keys


@task(name="portion", cache_policy=NO_CACHE, persist_result=False)
async def portion(place: str, commission: Mapping[str, Any]) -> None:
    """Ask the portion whose folder this is; a second task of the same goes on where the first one died.

    The order (its rows and its share) lies in that folder; `commission` is what the run hands over: the job as it was
    written, its variables unfilled. They and the key (`key.py`) are found here. Raises `UsageError` where the portion
    is not to be asked from this machine.
    """
    from parquill.portions import Handover, Mailbox, ask_portion  # noqa: PLC0415 - the engine is loaded where it works
    from parquill.running import run_job  # noqa: PLC0415 - the engine is loaded where it works

    told = Handover(**commission)
    await asyncio.to_thread(_stand_in, told.folder)
    key = await endpoint_keys(load_written(told.job))
    with seldom_collected():
        await ask_portion(Mailbox(place), told, run_job=run_job, key=key, clock=SystemClock())


def _stand_in(folder: str) -> None:
    """See relative paths as the run does, for good: a worker's portions are all seen from one place."""
    if Path(folder).is_dir():
        os.chdir(folder)
