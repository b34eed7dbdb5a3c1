"""Runs portions in processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence

from parquill.endpoint import Keys
from parquill.errors import JobError
from parquill.job import Job
from parquill.portions.coordinator import share_among
from parquill.portions.mailbox import Mailbox
from parquill.portions.work_order import Coordinate, Handover


class LocalPool:
    """Starts a Python for each portion, and waits for it."""

    def __init__(self, key: Keys = None) -> None:
        """`key`: the endpoint's, or those of several, where the processes do not find them in their environment."""
        self._key = key

    async def work(self, mailboxes: Sequence[Mailbox], commission: Handover) -> None:
        """Start a process for each mailbox, and wait until all have ended."""
        await asyncio.gather(*(self._ask(mailbox, commission) for mailbox in mailboxes))

    async def _ask(self, mailbox: Mailbox, commission: Handover) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parquill.portions", stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        key = (
            {name: one.reveal() for name, one in self._key.items()}
            if isinstance(self._key, Mapping)
            else (self._key.reveal() if self._key is not None else None)
        )
        told = {"place": mailbox.place, "key": key, "commission": dataclasses.asdict(commission)}
        try:
            with contextlib.suppress(OSError):  # it died already; its portion is asked again
                await process.communicate(json.dumps(told).encode())
            await process.wait()
        except asyncio.CancelledError:  # it had its time
            process.kill()
            raise


def share_here(job: Job) -> Coordinate | None:
    """Return what spreads a job over this machine's processes; None where it wants one.

    Raises `JobError` where it wants a cluster's: only a flow has one; and as `share_among` does.
    """
    if job.run.workers == 1:
        return None
    if job.run.engine != "local":
        raise JobError(
            f"run.engine: {job.run.engine} needs a flow: python -m flows.batch JOB. "
            "Or share the run among this machine's processes: --set run.engine=local"
        )
    return share_among(job, LocalPool())
