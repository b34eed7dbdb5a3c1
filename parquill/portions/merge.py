"""Merges what other processes asked for a run into its ledger.

A portion is a run of its own: some rows of the manifest, a share of the limits and of the budget, its own output
and ledger. A `WorkOrder` beside the run's ledger says what is asked of it before it begins. When it has ended,
this process takes its rows' outcomes and costs into its own ledger. Then it asks what is left: duplicates, rows of
portions that stopped, rows too large for a share. So a shared run ends like any other run. After a crash at any
point the next run finds the order and merges the portion.

A portion whose process died is closed first (its requests in doubt are booked), where its ledger can be read from
here. If its machine died too, its whole share is booked, because what it spent is not known.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from parquill.clock import Clock
from parquill.endpoint import realm_of
from parquill.errors import OutputError
from parquill.job import Job
from parquill.ledger import Ledger, TakenPart, TakenRow
from parquill.planning import RunPlan, held_in
from parquill.portions.mailbox import LEASE, Mailbox, PortionReport
from parquill.portions.spend import divide, of_rows, quarter_of, spent_by
from parquill.portions.work_order import Coordinate, RunToShare, Stopped, WorkOrder, is_portion, portion_folder
from parquill.portions.worker import RunJob, close_portion
from parquill.results import ItemResult, Status, read_part, read_part_info, results_in
from parquill.run_dependencies import MACHINE, RunDependencies
from parquill.storage import Storage, is_remote
from parquill.workspace import Workspace

_log = logging.getLogger(__name__)

ROUNDS = 2
"""How often unfinished rows are divided again; after that the run asks them itself."""


class Portions:
    """The portions of a run: shared out, and taken over."""

    def __init__(
        self,
        job: Job,
        workspace: Workspace,
        ledger: Ledger,
        clock: Clock,
        spread: Coordinate | None,
        *,
        run_job: RunJob,
        dependencies: RunDependencies = MACHINE,
    ) -> None:
        """`run_job` closes a portion whose process died."""
        self._job = job
        self._workspace = workspace
        self._folder = workspace.portions
        self._kept = (workspace.attempts, workspace.drift)
        self._label = workspace.output
        self._ledger = ledger
        self._clock = clock
        self._spread = spread
        self._dependencies = dependencies
        self._run_job = run_job
        self.learned: list[Mapping[str, Any]] = []
        """Calibration data of the portions that were merged."""

    @property
    def shares(self) -> bool:
        """Whether other processes ask rows of this run."""
        return self._spread is not None

    async def share(self, work: Callable[[bool], Awaitable[RunToShare]]) -> Stopped | None:
        """Have other processes do what they can; all that is left is for this one, unless it is to stop.

        `work` says what there is to do now, and whether others have just used the rates.
        Cancelled, it sees every portion to its end and takes it over first.
        """
        for number in range(ROUNDS if self._spread is not None else 0):
            assert self._spread is not None
            try:
                asked = await self._spread(await work(number > 0))
            finally:
                await self.take_over(ended=True)
            if asked is None or asked.stopped is not None or not asked.lost:
                return asked.stopped if asked is not None else None
        return None

    async def take_over(self, *, ended: bool = False) -> None:
        """Take what every portion did into the run's books.

        `ended`: their processes were awaited. Raises `OutputError` where one is still at work.
        """
        for path in sorted(self._folder.glob("*.json")):
            if not is_portion(path.stem):
                continue
            place = portion_folder(self._job, self._workspace, path.stem)
            order = dataclasses.replace(WorkOrder.load(path.read_bytes(), place), id=path.stem)
            report = await self._take(order, ended=ended)
            await self._note_evidence(order, report)
            await asyncio.to_thread(self._remove, order, path)
            await self._ledger.forget_portion(order.id)

    async def as_left(self, plan: RunPlan, realm: str) -> RunPlan:
        """Return the plan with what the ledger holds of its slices by now; unchanged where there were no portions."""
        if self._spread is None:
            return plan
        return dataclasses.replace(plan, open=tuple(held_in(await self._ledger.slices(), plan.open, realm)))

    async def _note_evidence(self, order: WorkOrder, report: PortionReport | None) -> None:
        """Note what its tables about single requests hold, where they are on this machine and come beside the run's."""
        here = await asyncio.to_thread(order.workspace.ledger.exists)
        for count in report.evidence if report is not None and here else ():
            moved = dataclasses.replace(count, process=_moved(order, count.process))
            await self._ledger.note_evidence(moved)

    async def _take(self, order: WorkOrder, *, ended: bool) -> PortionReport | None:
        output, mailbox = Storage.at(order.output), Mailbox(order.place)
        report = await asyncio.to_thread(mailbox.report)
        if report is None:
            if order.workspace.ledger.exists():
                await self._close(order, mailbox)
            elif not ended:
                await asyncio.to_thread(self._refuse_working, mailbox)
            report = await asyncio.to_thread(mailbox.report)
        if report is not None:
            self.learned.append(report.learned)
        now = self._clock.wall()
        left = await asyncio.to_thread(spent_by, order, mailbox, report, now)
        realm = realm_of(emulated=order.emulated)
        # In one order whenever this is done again: so each part is dated as it was the first time.
        for name in sorted(entry.name for entry in await asyncio.to_thread(output.files)):
            if not name.endswith(".parquet"):
                continue
            digest, rows = await asyncio.to_thread(_read, output, name)
            spent, left = divide(left, of_rows(rows), quarter_of(now))
            part = TakenPart(name, f"{digest}{realm}", rows, spent)
            await self._ledger.take_part(order.id, run=order.run, realm=realm, part=part)
        await self._ledger.close_portion(order.id, run=order.run, rest=left)
        return report

    async def _close(self, order: WorkOrder, mailbox: Mailbox) -> None:
        """A process died over this portion: book its doubts, write its parts, send nothing."""
        await close_portion(
            order, mailbox, self._job, self._clock, run_job=self._run_job, dependencies=self._dependencies
        )

    def _refuse_working(self, mailbox: Mailbox) -> None:
        """Wait for a portion on another machine that sent progress within a minute."""
        shown = mailbox.shown()
        if shown is not None and abs(self._clock.wall() - shown.at) < LEASE:
            raise OutputError(
                f"{self._label}: another machine is still asking rows of the run before; without it, it stops within "
                f"{LEASE:.0f} seconds. Start this command again then"
            )

    def _remove(self, order: WorkOrder, path: Path) -> None:
        workspace, output = order.workspace, Storage.at(order.output)
        for theirs, ours in zip((workspace.attempts, workspace.drift), self._kept, strict=True):
            for file in sorted(theirs.glob("*")):
                ours.mkdir(exist_ok=True)
                file.rename(ours / _moved(order, file.name))
        for entry in output.files():
            output.remove(entry.name)
        _log.info("portion %s is merged into the run", order.id)
        Mailbox(order.place).remove()
        shutil.rmtree(workspace.folder, ignore_errors=True)
        if not is_remote(order.place) and Path(order.place).resolve().parent == self._folder.resolve():
            shutil.rmtree(order.place, ignore_errors=True)
        path.unlink(missing_ok=True)


def _moved(order: WorkOrder, name: str) -> str:
    """What is called so in a portion's tables, among those of the run."""
    return f"{order.id}-{name}"


def _read(output: Storage, name: str) -> tuple[str, list[TakenRow]]:
    info = read_part_info(output, name)
    results = results_in(info, read_part(output, name))
    rows = [_row(number, one) for number, one in enumerate(results) if one.attempts or one.status is Status.OK]
    return info.slice_digest, rows


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
        payload=None if result.status is Status.NOT_ATTEMPTED else result.encode(),
        upstream_pico=result.upstream_pico,
    )
