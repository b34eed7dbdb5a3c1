"""Runs portions in forked processes: as `LocalPool` does, without the imports of a Python for each."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from parquill import load_job
from parquill.job import Job
from parquill.planning import RunOptions
from parquill.portions import share_among
from parquill.portions.__main__ import main
from parquill.portions.mailbox import Mailbox
from parquill.portions.work_order import Handover
from parquill.running import run_job
from parquill.summary import RunSummary
from tests.e2e.forked import Forked, started


class ForkedPool:
    """Starts a process for each portion, and waits for it."""

    def __init__(self, environ: Callable[[int], Mapping[str, str]] = lambda _: {}) -> None:
        """`environ`: what the n-th process (from 0, over all rounds) has in its environment beside what we have."""
        self._environ = environ
        self.rounds: list[int] = []
        """How many portions were given out, each time."""
        self.processes: list[Forked] = []

    async def work(self, mailboxes: Sequence[Mailbox], commission: Handover) -> None:
        first = sum(self.rounds)
        self.rounds.append(len(mailboxes))
        await asyncio.gather(*(self._ask(number, one, commission) for number, one in enumerate(mailboxes, first)))

    async def _ask(self, number: int, mailbox: Mailbox, commission: Handover) -> None:
        told = {"place": mailbox.place, "key": None, "commission": dataclasses.asdict(commission)}
        environ = {**os.environ, **self._environ(number)}
        process = started(main, folder=Path.cwd(), environ=environ, stdin=json.dumps(told))
        self.processes.append(process)
        await process.ended()


async def run_shared(
    job: Job | Mapping[str, object], options: RunOptions | None = None, pool: ForkedPool | None = None
) -> RunSummary:
    """Run a job for several processes, which are forked."""
    loaded = job if isinstance(job, Job) else load_job(job)
    return await run_job(loaded, options, spread=share_among(loaded, pool or ForkedPool()))
