"""Processes one after the other, each forked from this one, until the job is done or stands still."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.errors import ErrorKind
from parquill.job import Secret, load_job
from parquill.planning import RunOptions
from parquill.portions.coordinator import share_among
from parquill.portions.mailbox import Mailbox
from parquill.portions.work_order import Handover
from parquill.portions.worker import ask_portion
from parquill.run_dependencies import RunDependencies
from parquill.running import run_job
from parquill.summary import RunSummary
from parquill.verification import verify_job
from tests.simulation.whole.endpoint import BASE, Endpoint
from tests.simulation.whole.loop import SimulatedLoop
from tests.simulation.whole.machine import JumpingClock, Log, MortalDisk, Reaper, opening
from tests.simulation.whole.plans import DAY, MAX_TOKENS, Life, Plan

KEY = Secret("sk-simulated-0123456789")
MOST_LIVES = 6
MOST_TURNS = 1_500
"""Of the loop, after which a process is killed: it waits for another day (`limits.wait`)."""
ENDLESS = 16_000
"""Turns after which a process that is to come to its end never will."""
SECONDS = 60
"""Of real time, that one life may take."""


@dataclass(frozen=True)
class Ended:
    """How one process ended."""

    killed: bool
    turns: int
    wall: float
    monotonic: float
    summary: dict[str, Any] | None = None
    holds: bool = True
    fault: str | None = None


class Processes:
    """Asks portions in the run's own process, on its clock and at its endpoint."""

    def __init__(self, clock: JumpingClock, dependencies: RunDependencies) -> None:
        self._clock, self._dependencies = clock, dependencies

    async def work(self, posts: Sequence[Mailbox], commission: Handover) -> None:
        how: dict[str, Any] = {"run_job": run_job, "key": KEY, "clock": self._clock, "dependencies": self._dependencies}
        await asyncio.gather(*(ask_portion(post, commission, **how) for post in posts))


def job_of(plan: Plan, folder: Path, *, well: bool) -> dict[str, Any]:
    """Return the job; `well`: without caps of money and of the day, to bring it to its end."""
    sections = {**plan.sections, "run": {"workers": plan.workers}}
    if well:
        sections["budget"], sections["run"] = {}, {"workers": 1}
        sections["limits"] = {name: value for name, value in sections["limits"].items() if name != "requests_per_day"}
    price = {"prompt": "0.00001", "completion": "0.00001"}
    return {
        "name": "simulated",
        "manifest": {"path": str(folder / "manifest.parquet"), "id_column": "id"},
        "prompt": {"user_column": "text"},
        "model": {"endpoint": BASE, "name": "m", "price": price, "max_tokens": MAX_TOKENS},
        **sections,
        "output": {"path": str(folder / "out"), **sections["output"]},
    }


def live_through(plan: Plan, folder: Path) -> list[Ended]:
    """Write the manifest, and let processes live until nothing is left, however they end."""
    pq.write_table(pa.table({"id": list(range(len(plan.texts))), "text": plan.texts}), folder / "manifest.parquet")
    log, ended, wall = Log(folder / "log.jsonl"), list[Ended](), plan.start
    for number in range(MOST_LIVES):
        life = plan.lives[number] if number < len(plan.lives) else Life(pause=DAY)
        ended.append(_fork(plan, folder, number, life, wall, log, well=False))
        wall = ended[-1].wall + life.pause
        if _stands_still(ended, daily=_is_daily(plan)):
            break
    for days in (2, 3):  # what failed for good in a run that was killed is asked again by the next one only
        ended.append(_fork(plan, folder, len(ended), Life(), wall + days * DAY, log, well=True))
        if _stands_still(ended, daily=True):
            break
    return ended


def _is_daily(plan: Plan) -> bool:
    return plan.sections["budget"].get("per") == "day" or "requests_per_day" in plan.sections["limits"]


def _stands_still(ended: list[Ended], *, daily: bool) -> bool:
    last = ended[-1]
    if last.fault is not None:
        return True
    if last.killed or last.summary is None:
        return False
    left = last.summary["rows"]["not_attempted"] + last.summary["rows"]["failed"]
    return not left or (not daily and last.summary["requests"] == 0)


def _fork(plan: Plan, folder: Path, number: int, life: Life, wall: float, log: Log, *, well: bool) -> Ended:
    report = folder / f"life-{number}.json"
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            _live(plan, folder, number, life, wall, log, report, well=well)
        except BaseException:
            report.write_text(json.dumps(asdict(Ended(False, 0, wall, 0.0, fault=traceback.format_exc()))))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not report.exists():
        return Ended(False, 0, wall, 0.0, fault=f"life {number} ended with status {status} and without a word")
    return Ended(**json.loads(report.read_text()))


def _live(
    plan: Plan, folder: Path, number: int, life: Life, wall: float, log: Log, report: Path, *, well: bool
) -> None:
    rng = random.Random(f"life {plan.seed} {number}")

    def leave(*, killed: bool, **more: Any) -> None:
        words = Ended(killed, reaper.turns, clock.wall(), clock.monotonic(), **more)
        report.write_text(json.dumps(asdict(words)))

    reaper = Reaper(
        turn=None if well else min(life.turn or MOST_TURNS, MOST_TURNS),
        step=life.step,
        last_words=lambda: leave(killed=True),
    )
    loop = SimulatedLoop(lambda: rng.choice([0.0, 0.001, 0.003]), lambda turn: _turned(reaper, turn))
    clock = JumpingClock(loop, wall, life.jumps)
    endpoint = Endpoint(plan, number, clock, log, well=well)
    ledgers = opening(reaper, log, rng)
    around = RunDependencies(endpoint.connect, ledgers, lambda: random.Random(f"waits {plan.seed} {number}"))
    job = load_job(job_of(plan, folder, well=well))
    spread = share_among(job, Processes(clock, around)) if plan.workers > 1 and not well else None
    options = RunOptions(retry=frozenset(ErrorKind)) if well else RunOptions()
    asyncio.set_event_loop(loop)
    run = run_job(job, options, key=KEY, clock=clock, disk=MortalDisk(reaper), spread=spread, dependencies=around)
    summary = loop.run_until_complete(run)
    # Each of them in some seeds, the last in all: it costs as much as a life.
    holds = (plan.seed + number) % 4 != 0 and not well
    leave(killed=False, summary=_told(summary), holds=holds or verify_job(job).holds)


def _turned(reaper: Reaper, turn: int) -> None:
    if turn > ENDLESS:
        raise AssertionError(f"the run goes on and on: {turn} turns of the loop")
    reaper.at_turn(turn)


def _told(summary: RunSummary) -> dict[str, Any]:
    return {
        "rows": asdict(summary.rows),
        "requests": summary.requests,
        "cost_pico": summary.cost_pico,
        "stopped_by": None if summary.stopped_by is None else summary.stopped_by.value,
        "errors": dict(summary.errors_by_kind),
    }


def without_kills(plan: Plan) -> Plan:
    """The same seed, with processes that are not killed."""
    return replace(plan, lives=[replace(life, turn=None, step=None) for life in plan.lives])
