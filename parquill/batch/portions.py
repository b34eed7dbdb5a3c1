"""Portions: what other processes are asked to do for a run, and how it comes into its books.

A portion is a run of its own: some slices of the manifest, a share of the limits and of the
budget, its own output and ledger. What is asked of it stands as an `Order` beside the run's ledger
before it begins. When it has ended, this process takes its rows' outcomes and costs into its own
ledger, as if it had asked them itself, and asks what is left: twins, rows of portions that stopped,
rows too large for a share. So the end of a shared run is that of any other run, and a crash
at any point leaves an order whose portion is taken over by the next run, whoever that is.

A portion whose process died is closed first (its doubts are booked), where its ledger can be seen
from here. One that died with its machine has its whole share booked: what it spent is not known.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parquill.batch.endpoint import EMULATOR, EndpointFacts
from parquill.batch.options import Portion, RunOptions
from parquill.batch.plan import RunPlan
from parquill.batch.prepare import Prepared
from parquill.budget import Budget
from parquill.clock import Clock
from parquill.errors import ErrorKind, Stop
from parquill.job import Job, Secret, state_home
from parquill.ledger import Glance, Ledger, Spend, TakenPart, TakenRow
from parquill.results import ItemResult, Status, read_part, read_part_info, results_in
from parquill.storage import Storage, is_remote
from parquill.summary import RunSummary
from parquill.workspace import Workspace

REPORT, STOP = "report.json", "stop.json"
"""Files beside a portion's parts: what it spent, once it has ended; that it should stop."""

Stopped = tuple[Stop, str]


@dataclass(frozen=True, slots=True)
class Spreading:
    """What a run has to do when it might be shared; read, not changed."""

    opened: Prepared
    plan: RunPlan
    run: int
    facts: EndpointFacts
    workspace: Workspace
    budget: Budget
    day_used: int
    options: RunOptions


Spread = Callable[[Spreading], Awaitable[Stopped | None]]
"""Has portions of a run asked by others; returns when they have ended, and why the run is to stop."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one portion is asked: JSON values only, so that it can be sent anywhere."""

    id: str
    run: int
    """In the ledger of the run that it belongs to."""
    job: Mapping[str, Any]
    """In the job file's form, with the portion's share of limits and budget and its own output."""
    without: Mapping[str, list[int]]
    emulated: bool
    base_url: str | None
    folder: str
    """Relative paths of the job are seen from here."""
    share_pico: int
    retry: tuple[str, ...] = ()
    deadline: float | None = None
    crowded: bool = False

    @property
    def output(self) -> str:
        return str(self.job["output"]["path"])

    @property
    def workspace(self) -> Workspace:
        """Where the portion's own ledger is, on the machine that it runs on."""
        return Workspace.of(self.output, state_home())

    def dump(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def load(cls, raw: bytes) -> Order:
        data = json.loads(raw)
        return cls(**{**data, "retry": tuple(data["retry"])})


async def ask_portion(order: Order, *, key: Secret | None = None, clock: Clock, **attached: Any) -> RunSummary:
    """Ask a portion to its end or its stop, and leave its report beside its parts.

    Called again after its process died, it goes on where that stopped. Raises as `run_job` does.
    """
    from parquill.batch.run import run_job  # noqa: PLC0415 - which takes portions over itself

    without = {part: frozenset(rows) for part, rows in order.without.items()}
    options = RunOptions(
        portion=Portion(without, emulated=order.emulated, base_url=order.base_url, crowded=order.crowded),
        retry=frozenset(map(ErrorKind, order.retry)),
        deadline=order.deadline,
    )
    summary = await run_job(Job.model_validate(order.job), options, key=key, clock=clock, **attached)
    await asyncio.to_thread(_report, order)
    return summary


def _report(order: Order) -> None:
    with Glance.at(order.workspace.ledger) as glance:
        assert glance is not None
        spent = glance.totals()
    data = json.dumps(dataclasses.asdict(spent)).encode()
    Storage.at(order.output).write_whole(REPORT, lambda sink: sink.write(data))


def order_of(job: Job) -> dict[str, Any]:
    """Return a job in the form of an order: without what only the run's first process needs."""
    data = job.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {name: section for name, section in data.items() if name not in {"nightly", "run", "report"}}


class Portions:
    """The orders of a run, on disk."""

    def __init__(self, workspace: Workspace, ledger: Ledger, clock: Clock) -> None:
        self._folder = workspace.portions
        self._attempts = workspace.attempts
        self._ledger = ledger
        self._clock = clock

    async def take_over(self) -> None:
        """Take what every portion did into the run's books; raises `OutputError` where one is still at work."""
        for path in sorted(self._folder.glob("*.json")):
            order = Order.load(path.read_bytes())
            await self._take(order)
            await asyncio.to_thread(self._remove, order, path)
            await self._ledger.forget_portion(order.id)

    async def _take(self, order: Order) -> None:
        output = Storage.at(order.output)
        if not output.exists(REPORT) and order.workspace.ledger.exists():
            await self._close(order)
        spent = await asyncio.to_thread(_spent, order, output)
        realm = EMULATOR if order.emulated else ""
        for entry in await asyncio.to_thread(output.files):
            if not entry.name.endswith(".parquet"):
                continue
            part = await asyncio.to_thread(_read, output, entry.name, realm)
            await self._ledger.take_part(order.id, run=order.run, realm=realm, part=part)
            spent = _less(spent, part)
        await self._ledger.close_portion(order.id, run=order.run, rest=spent)

    async def _close(self, order: Order) -> None:
        """A process died over this portion: book its doubts, write its parts, send nothing."""
        budget = {name: value for name, value in order.job.items() if name != "budget"}
        await ask_portion(dataclasses.replace(order, job=budget, deadline=0.0), clock=self._clock, key=Secret("unused"))

    def _remove(self, order: Order, path: Path) -> None:
        workspace, output = order.workspace, Storage.at(order.output)
        for file in sorted(workspace.attempts.glob("*")):
            self._attempts.mkdir(exist_ok=True)
            file.rename(self._attempts / f"{order.id}-{file.name}")
        for entry in output.files():
            output.remove(entry.name)
        shutil.rmtree(workspace.folder, ignore_errors=True)
        if output.local_path is not None:
            shutil.rmtree(output.local_path.parent, ignore_errors=True)
        path.unlink(missing_ok=True)


def portion_output(job: Job, workspace: Workspace, portion: str) -> str:
    """Return where a portion's parts are: beside the run's ledger, or beside a remote output."""
    if is_remote(job.output.path):
        return f"{job.output.path.rstrip('/')}.portions/{portion}/out"
    return str(workspace.portions.absolute() / portion / "out")


def mark_stopped(orders: Sequence[Order]) -> None:
    """Tell portions to stop, wherever they are at work."""
    for order in orders:
        Storage.at(order.output).write_whole(STOP, lambda sink: sink.write(b"{}"))


def _spent(order: Order, output: Storage) -> Spend:
    """What a portion booked; its whole share where only its machine knows."""
    if output.exists(REPORT):
        return Spend(**json.loads(output.read_bytes(REPORT)))
    if output.is_local:
        return Spend(0, 0, 0, 0, 0, 0, 0)  # its ledger would be here: it never began
    return Spend(0, order.share_pico, 0, 0, 0, 1, order.share_pico)


def _read(output: Storage, name: str, realm: str) -> TakenPart:
    info = read_part_info(output, name)
    results = results_in(info, read_part(output, name))
    rows = [_row(number, one) for number, one in enumerate(results) if one.attempts or one.status is Status.OK]
    return TakenPart(name, f"{info.slice_digest}{realm}", rows)


def _row(number: int, result: ItemResult) -> TakenRow:
    return TakenRow(
        row=number,
        fingerprint=result.fingerprint or b"",
        ok=result.status is Status.OK,
        attempts=result.attempts,
        cost_pico=result.cost_pico or 0,
        cost_source=result.cost_source or "unknown",
        prompt_tokens=result.prompt_tokens,
        completion_tokens=result.completion_tokens,
        cached_tokens=result.cached_tokens,
        ended_at=result.finished_at or 0,
        payload=None if result.status is Status.NOT_ATTEMPTED else result.encode(),
    )


def _less(spent: Spend, part: TakenPart) -> Spend:
    """What is left of a portion's spend when a part's rows have been booked."""
    return dataclasses.replace(
        spent,
        requests=max(0, spent.requests - sum(row.attempts for row in part.rows)),
        pico=max(0, spent.pico - sum(row.cost_pico for row in part.rows)),
        tokens=max(0, spent.tokens - sum(row.tokens for row in part.rows)),
        prompt_tokens=max(0, spent.prompt_tokens - sum(row.prompt_tokens or 0 for row in part.rows)),
        completion_tokens=max(0, spent.completion_tokens - sum(row.completion_tokens or 0 for row in part.rows)),
    )
