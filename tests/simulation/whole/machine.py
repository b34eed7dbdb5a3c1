"""The machine that a simulated process runs on: its clock, its ledger's writer, and its death."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from parquill.clock import Clock
from parquill.ledger import Ledger
from parquill.ledger.batch_commit import BatchCommit
from parquill.ledger.schema import connect
from parquill.ledger.writer import Pending, Writer, _Call
from parquill.results import ItemResult
from parquill.storage import Disk
from tests.simulation.whole.loop import SimulatedLoop

T = TypeVar("T")

KILLED = 9


class Log:
    """What happened, one JSON line each, in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def add(self, event: str, **facts: Any) -> None:
        self._file.write(json.dumps({"event": event, **facts}).encode() + b"\n")


class Reaper:
    """Ends the process at a turn of the loop, or at a step of the disk: nothing is tidied up."""

    def __init__(self, *, turn: int | None, step: int | None, last_words: Callable[[], object]) -> None:
        self._turn, self._step, self._last_words = turn, step, last_words
        self.turns = self.steps = 0

    def at_turn(self, turn: int) -> None:
        self.turns = turn
        if turn == self._turn:
            self._end()

    def at_step(self) -> None:
        self.steps += 1
        if self.steps == self._step:
            self._end()

    def _end(self) -> None:
        self._last_words()
        os._exit(KILLED)


class JumpingClock:
    """The loop's time as monotonic, and a wall time that is set now and then."""

    def __init__(self, loop: SimulatedLoop, wall: float, jumps: list[tuple[float, float]]) -> None:
        """`jumps`: when (seconds from now), and by how much the wall time is set."""
        self._loop, self._offset = loop, wall
        for when, by in jumps:
            loop.call_later(when, self._jump, by)

    def _jump(self, by: float) -> None:
        self._offset += by

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._loop.time() + self._offset

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        woken = self._loop.create_future()
        timer = self._loop.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()


class MortalDisk(Disk):
    """The real disk; the process may die before each of its steps."""

    def __init__(self, reaper: Reaper) -> None:
        self._reaper = reaper

    def write(self, file: Any, data: bytes) -> None:
        self._reaper.at_step()
        super().write(file, data)

    def rename(self, source: Path, target: Path) -> None:
        self._reaper.at_step()
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._reaper.at_step()
        super().remove(path)


class DelayedWriter(Writer):
    """Commits as the real one, in order, on the loop's own thread and some simulated milliseconds later."""

    def __init__(self, path: Path, job: str, reaper: Reaper, log: Log, rng: random.Random) -> None:
        self._path, self.fault, self.commits = path, None, 0
        self._reaper, self._log, self._rng = reaper, log, rng
        self._db = connect(path, job)
        self._waiting: list[BatchCommit] = []
        self._timer: asyncio.TimerHandle | None = None

    def send(self, group: BatchCommit) -> None:
        self._waiting.append(group)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._rng.uniform(0.0, 0.02), self._commit)

    def call(self, work: Callable[[sqlite3.Connection], T]) -> Pending[T]:
        self._commit()
        self._reaper.at_step()
        call = _Call(work)
        self._commit_call(self._db, call)
        self._reaper.at_step()
        return Pending(call.future)

    def close(self) -> None:
        self._commit()
        self._db.close()

    def _commit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        groups, self._waiting, self._timer = self._waiting, [], None
        if groups:
            self._reaper.at_step()
            self._commit_groups(self._db, groups)
            for *_, ok, _, payload in (one for group in groups for one in group.outcomes):
                if ok:
                    self._log.add("durable", text=ItemResult.decode(payload).answer_text)
            self._reaper.at_step()


def opening(reaper: Reaper, log: Log, rng: random.Random) -> Callable[..., Ledger]:
    """Return what opens ledgers on this machine."""

    def open_ledger(path: Path, *, job: str, clock: Clock) -> Ledger:
        return Ledger(path, DelayedWriter(path, job, reaper, log, rng), clock)

    return open_ledger
