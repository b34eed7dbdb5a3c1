"""Runs in processes of their own that die: by kill -9 after some time, or at one step of the disk.

The children are forked (`tests/e2e/forked.py`), so that a death costs milliseconds and not a second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import uvloop

import tests.e2e.kit
from parquill.job import load_job
from parquill.planning import RunOptions
from parquill.running import run_job
from parquill.storage import Disk
from tests.e2e.forked import FORKS

__all__ = ["die_at_step", "die_in_time", "die_when"]

_OPTIONS = RunOptions(allow_shrink=True, replace=True)
assert tests.e2e.kit.KEY_NAME


class DeadlyDisk(Disk):
    """Kills its process at the n-th step (from 0), before it is taken or, `after`, when it is done.

    A file's many writes count as one step: its first.
    """

    def __init__(self, die_at: int, *, after: bool) -> None:
        self._left = die_at
        self._after = after
        self._written: set[str] = set()

    def _count(self, *, done: bool) -> None:
        if done is not self._after:
            return
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def create(self, path: Path) -> BinaryIO:
        self._count(done=False)
        file = super().create(path)
        self._count(done=True)
        return file

    def write(self, file: BinaryIO, data: bytes) -> None:
        first = file.name not in self._written
        self._written.add(file.name)
        if first:
            self._count(done=False)
        super().write(file, data)
        if first:
            self._count(done=True)

    def sync(self, file: BinaryIO) -> None:
        self._count(done=False)
        super().sync(file)
        self._count(done=True)

    def rename(self, source: Path, target: Path) -> None:
        self._count(done=False)
        super().rename(source, target)
        self._count(done=True)

    def remove(self, path: Path) -> None:
        self._count(done=False)
        super().remove(path)
        self._count(done=True)

    def sync_folder(self, path: Path) -> None:
        self._count(done=False)
        super().sync_folder(path)
        self._count(done=True)


async def die_in_time(job: Path, seconds: float) -> bool:
    """Run a job and kill -9 it after `seconds`; False when it came to its end before."""
    return await _child(_run_for, job, seconds)


async def die_when(job: Path, ripe: Callable[[], bool]) -> bool:
    """Run a job and kill -9 it once `ripe`; False when it came to its end before."""
    process = FORKS.Process(target=_run_for, args=(job, 600.0))  # type: ignore[arg-type] # a function of two
    process.start()
    await tests.e2e.kit.until(lambda: ripe() or not process.is_alive())
    process.kill()
    await asyncio.to_thread(process.join)
    return process.exitcode != 0


async def die_at_step(job: Path, step: int, *, after: bool) -> bool:
    """Run a job and kill -9 it at a step of its disk; False when it took fewer steps."""
    return await _child(_run_on, job, step, after)


async def _child(work: object, *arguments: object) -> bool:
    process = FORKS.Process(target=work, args=arguments)  # type: ignore[arg-type] # any of the functions below
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode in (0, -signal.SIGKILL), f"the run ended with {process.exitcode}"
    return process.exitcode != 0


def _run_for(job: Path, seconds: float) -> None:
    killer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    killer.daemon = True
    killer.start()
    uvloop.run(run_job(load_job(job), _OPTIONS))
    killer.cancel()


def _run_on(job: Path, step: int, after: bool) -> None:
    uvloop.run(run_job(load_job(job), _OPTIONS, disk=DeadlyDisk(step, after=after)))
