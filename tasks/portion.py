"""portion: one portion of a shared run, on whatever machine the task runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parquill.clock import SystemClock
from parquill.garbage import seldom_collected
from tasks.key import endpoint_key


@task(name="portion", cache_policy=NO_CACHE, persist_result=False)
async def portion(place: str) -> None:
    """Ask the portion whose folder this is; a second task of the same goes on where the first one died.

    The order lies in that folder, the key is found here (`key.py`): neither is an argument.
    Raises `UsageError` where the portion is not to be asked from this machine.
    """
    from parquill.batch.ask import ask_portion  # noqa: PLC0415 - the engine is loaded where it works
    from parquill.batch.post import Post  # noqa: PLC0415

    post = Post(place)
    order = await asyncio.to_thread(post.order)
    await asyncio.to_thread(_stand_in, order.folder)
    with seldom_collected():
        await ask_portion(post, key=await endpoint_key(order.settings.model), clock=SystemClock())


def _stand_in(folder: str) -> None:
    """See relative paths as the run does, for good: a worker's portions are all seen from one place."""
    if Path(folder).is_dir():
        os.chdir(folder)
