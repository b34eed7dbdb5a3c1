"""One process's work on a run: recover, plan, ask, close the ledger."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any

from parquill.answers import fallback_order
from parquill.asking import (
    Attempts,
    ConversationContext,
    Conversations,
    EndpointRefusals,
    OutputModeChoice,
    RunEvidence,
    accept_what_stands,
)
from parquill.calibration import CalibrationData, SavedEstimate
from parquill.clock import Clock
from parquill.cost_range import CostRange
from parquill.endpoint import realm_of
from parquill.errors import Stop
from parquill.event_loop import meanwhile
from parquill.ledger import Spend
from parquill.limits import LOOK_AGAIN, RunGate
from parquill.observers import Attach, unwatched
from parquill.planning import (
    OtherOutputs,
    Prepared,
    RetryChoice,
    RunOptions,
    RunPlan,
    missing_pictures_notice,
    with_pictures,
)
from parquill.portions import RunToShare, Stopped
from parquill.prompts import Asking
from parquill.publishing import FailureCounts, Publisher
from parquill.replaced_answers import Replaced
from parquill.results import PartInfo, write_manifest
from parquill.retry import RetryPolicy
from parquill.running.allowance import Allowance, refuse_unpriced
from parquill.running.context import RunContext
from parquill.running.doubt_notices import doubt_notices
from parquill.running.monitor import RunMonitor
from parquill.running.provenance import leave_record, price_snapshot, versions
from parquill.running.startup import plan_run
from parquill.running.summary_builder import summary_of
from parquill.running.workers import LoopContext, WorkerLoop
from parquill.summary import RowCounts, RunSummary, Tally, TokenCounts
from parquill.threads import in_thread
from parquill.timeline import Timeline
from parquill.timeline_sampling import sampling

_BYTES_PER_ROW = 2_000
"""Bytes on disk that one row may take, in ledger and part together."""
_BYTES_BESIDES = 8_000_000
"""Bytes that any run may take: the ledger's write-ahead log grows to some megabytes before it is folded in."""


class Session:
    """From a prepared job to its summary."""

    def __init__(self, opened: Prepared, context: RunContext, options: RunOptions, clock: Clock) -> None:
        self._opened = opened
        self._job = opened.job
        self._context = context
        self._facts = context.facts
        self._ledger = context.ledger
        self._options = options
        self._clock = clock
        self._allowance = Allowance(self._job, context.ledger, clock)
        self._realm = realm_of(emulated=context.facts.emulated)
        self._saved_estimate: CostRange | None = None
        self._replaced: Replaced | None = None
        told = (*opened.shape.notices, *context.facts.notices, context.facts.address_advice)
        self._notices: list[str] = [one for one in told if one]
        self._started = clock.monotonic()
        self._started_at = dt.datetime.fromtimestamp(clock.wall(), dt.UTC)
        retry = RetryChoice(options.retry, self._job.retry.max_runs)
        self._failed_runs = FailureCounts(context.ledger, retry, realm=self._realm, began=self._started_at)

    async def run(self, attach: Attach = unwatched) -> RunSummary:
        """Do what is left to do; raises `UsageError` before anything is sent."""
        refuse_unpriced(self._job, self._facts)
        async with self._opened.images:
            return await self._run(attach)

    async def _run(self, attach: Attach) -> RunSummary:
        planned = await plan_run(self._opened, self._context, self._options, self._clock)
        plan, self._replaced = planned.plan, planned.replaced
        self._notices += [*planned.notices, *await accept_what_stands(self._ledger, self._context.workspace)]
        if not plan.open:
            return await self._nothing_to_do(plan)
        rows = sum(one.slice.rows for one in plan.open)
        await asyncio.to_thread(self._context.workspace.check_free, _BYTES_BESIDES + rows * _BYTES_PER_ROW)
        if self._options.chosen.is_all:
            self._saved_estimate = SavedEstimate.made_for(
                self._context.workspace, settings=plan.settings, realm=self._realm, rows=plan.todo
            )
        opened = self._opened
        asking = await with_pictures(opened.asking, opened.images, opened.example_pictures)
        return await self._ask(plan, await self._begin(plan), asking, attach)

    @functools.cached_property
    def _calibration_data(self) -> CalibrationData:
        """Asked for first when the portions have ended: what was known before, and what they learned."""
        calibration_data = CalibrationData.take_up(self._opened, self._context.workspace, self._realm)
        for told in self._context.portions.learned:
            calibration_data.merge(told)
        return calibration_data

    async def _begin(self, plan: RunPlan) -> int:
        """Go on with the run that has not ended, or begin one."""
        name, cap = self._job.model.name, self._allowance.cap_pico
        current = await self._ledger.current_run()
        if current is not None and current.realm == self._realm and not self._options.fresh_budget:
            await self._ledger.resume_run(current.id, model=name, settings=plan.settings, cap_pico=cap)
            return current.id
        return await self._ledger.begin_run(realm=self._realm, model=name, settings=plan.settings, cap_pico=cap)

    async def _spread(self, plan: RunPlan, run: int, attach: Attach, timeline: Timeline) -> Stopped | None:
        """Have other processes do what they can."""

        async def work(crowded: bool) -> RunToShare:
            return RunToShare(
                opened=self._opened,
                plan=await self._context.portions.as_left(plan, self._realm),
                run=run,
                facts=self._facts,
                workspace=self._context.workspace,
                budget=await self._allowance.budget(run),
                day_used=await self._allowance.day_used(self._context.endpoints),
                options=self._options,
                attach=attach,
                timeline=timeline,
                started=self._started,
                clock=self._clock,
                crowded=crowded,
                notice=self._notice_once,
            )

        return await self._context.portions.share(work)

    async def _ask(self, plan: RunPlan, run: int, asking: Asking, attach: Attach) -> RunSummary:
        before, timeline, cancelled = await self._ledger.totals(run), Timeline(), False
        try:
            stopped = await self._spread(plan, run, attach, timeline)
        except asyncio.CancelledError:
            stopped, cancelled = (Stop.SIGTERM, "the run was cancelled"), True
        plan = await self._context.portions.as_left(plan, self._realm)
        shared = await self._ledger.totals(run)
        crowded = shared.requests > before.requests or self._options.is_crowded
        job, facts = self._job, [one.facts for one in self._context.endpoints]
        gate = await self._allowance.gate(run, self._context.endpoints, crowded=crowded, sharers=self._options.sharers)
        output_modes = self._output_modes()
        evidence = RunEvidence(
            self._ledger,
            self._context.workspace,
            f"{run:06d}-{self._started_at:%Y%m%dT%H%M%S%f}",
            keep_attempts=job.output.keep_attempts,
            on_fault=lambda fault: loop.fail(fault, cut_off=False),
        )
        refusals = EndpointRefusals.of_run(gate, facts, self._clock, before=before, now=shared)
        attempts = self._attempts(gate, run, evidence, refusals)
        tally = Tally(plan.manifest.rows, kept_ok=plan.kept_ok, kept_errors=plan.kept_errors)
        scope = LoopContext(
            plan=plan,
            ledger=self._ledger,
            output=self._context.output,
            publisher=self._publisher(plan, output_modes),
            conversations=Conversations(
                self._conversation_context(asking, gate, attempts, evidence), output_modes, alarm=self._notice_once
            ),
            attempts=attempts,
            gate=gate,
            tally=tally,
            clock=self._clock,
            failures=job.failures,
            retry=self._failed_runs.retry,
            other_outputs=await in_thread(OtherOutputs.open, job, emulated=self._facts.emulated),
        )
        options, cap, began = self._options, self._allowance.cap_pico, self._started
        loop = WorkerLoop(scope, run=run, realm=self._realm, chosen=options.chosen, portion=options.portion is not None)
        watch = RunMonitor(job.name, loop, gate, tally, self._clock, cap_pico=cap, timeline=timeline, started=began)
        if stopped is not None:
            loop.stop(*stopped, grace=0)
        if self._options.deadline is not None and self._options.deadline <= self._clock.wall():
            loop.stop(Stop.DEADLINE, "the deadline had passed when the run began", grace=0)
        await evidence.begin()
        try:
            async with attach(loop, watch), sampling(watch, self._clock), meanwhile(self._keep_deadline(loop)):
                await loop.execute()
        except asyncio.CancelledError:
            cancelled = True  # every row stands in the output: the list and the books follow, then it is passed on
        finally:
            gate.end()
            await evidence.write()
        await evidence.end((await self._ledger.totals(run)).requests - shared.requests)
        watch.state()
        summary = await self._close(plan, run, loop, watch, before)
        if cancelled:
            raise asyncio.CancelledError
        return summary

    def _attempts(self, gate: RunGate, run: int, evidence: RunEvidence, refusals: EndpointRefusals) -> Attempts:
        return Attempts(
            gate,
            self._ledger,
            self._context.endpoints,
            refusals,
            run=run,
            policy=RetryPolicy(self._job.retry.max_attempts, self._job.retry.deadline_seconds),
            clock=self._clock,
            rng=self._context.rng,
            evidence=evidence.attempts,
        )

    async def _keep_deadline(self, loop: WorkerLoop) -> None:
        """Stop at the deadline; looked at once a minute, since no timer tells that a machine slept."""
        deadline = self._options.deadline
        if deadline is not None:
            while (left := deadline - self._clock.wall()) > 0:
                await self._clock.sleep(min(left, LOOK_AGAIN))
            loop.stop(Stop.DEADLINE, "the deadline has come")

    def _output_modes(self) -> OutputModeChoice:
        mode, parameters = self._job.output.mode, self._facts.parameters
        output_modes = fallback_order(mode, parameters, self._opened.shape.kind)
        return OutputModeChoice(output_modes, known=parameters is not None or mode != "auto", notice=self._notice_once)

    def _conversation_context(
        self, asking: Asking, gate: RunGate, attempts: Attempts, evidence: RunEvidence
    ) -> ConversationContext:
        opened, job = self._opened, self._job
        return ConversationContext(
            job=job,
            facts=self._facts,
            endpoints=self._context.endpoints,
            asking=asking,
            shape=opened.shape,
            images=opened.images,
            calibration_data=self._calibration_data,
            gate=gate,
            attempts=attempts,
            clock=self._clock,
            drift=evidence.drift,
        )

    def _publisher(self, plan: RunPlan, output_modes: OutputModeChoice) -> Publisher:
        def about() -> Mapping[str, Any]:
            return {
                "job": self._job.name,
                "settings": plan.settings,
                "deciding": dict(self._opened.asking.identity.settings),
                "model": self._job.model.name,
                "realm": self._realm,
                "rung": output_modes.output_mode.value,
                "json_text": self._opened.shape.json_text,
                "price": price_snapshot(self._facts.price),
                "versions": versions(),
            }

        failed, to_arrow = self._failed_runs if self._options.portion is None else None, self._opened.shape.to_arrow
        return Publisher(self._context.output, self._ledger, self._opened.schema, to_arrow, about, failed)

    def _notice_once(self, text: str) -> None:
        if text not in self._notices:
            self._notices.append(text)

    async def _nothing_to_do(self, plan: RunPlan) -> RunSummary:
        """Every row is answered: nothing is sent, and no run begins."""
        for orphan in plan.orphans:
            await asyncio.to_thread(self._context.output.remove, orphan.name)
            await self._ledger.drop_part(orphan.part_id)
        parts = list(plan.complete.values())
        await self._list_parts(plan, parts)
        current = await self._ledger.current_run()
        if current is not None:
            self._notices += doubt_notices(await self._ledger.totals(current.id))
            await self._ledger.end_run(current.id, None)
        return self._summary(plan, parts, "", RowCounts(0, failed_before=sum(plan.kept_errors.values())))

    async def _close(self, plan: RunPlan, run: int, loop: WorkerLoop, watch: RunMonitor, before: Spend) -> RunSummary:
        """List the parts, note how the run ended, and leave its record."""
        parts, closed = loop.parts, loop.closed
        left = plan.manifest.rows - sum(info.ok + info.failed for info in parts)
        stop = closed.stop if closed is not None and left else None
        await self._ledger.end_run(run, (stop.value if stop else "limit") if left else None)
        await self._list_parts(plan, parts)
        books = await self._ledger.books({info.name: (info.part_id, info.cost_pico) for info in parts})
        after = await self._ledger.totals(run)
        self._notices += [told for told in watch.left_out if told not in self._notices]
        self._notices += doubt_notices(after)
        pictureless = missing_pictures_notice(self._calibration_data.pictureless.rows, self._job.manifest, sent=True)
        self._notices += [told for told in (self._calibration_data.drift.told(), pictureless) if told]
        summary = self._summary(
            plan,
            parts,
            f"{run:06d}",
            watch.rows,
            requests=after.requests - before.requests,
            cost_pico=after.pico - before.pico,
            tokens=TokenCounts(
                after.prompt_tokens - before.prompt_tokens, after.completion_tokens - before.completion_tokens
            ),
            in_doubt_pico=books.in_doubt_pico,
            estimate=self._saved_estimate,
            rows_pico=() if self._context.portions.shares else watch.row_costs,
            stopped_by=stop,
            stop_message=closed.message if closed is not None and stop else None,
        )
        await asyncio.to_thread(self._calibration_data.keep, self._context.workspace)
        await asyncio.to_thread(
            leave_record, self._context.workspace, summary, self._job, self._facts.price, watch.timeline.samples()
        )
        return summary

    async def _list_parts(self, plan: RunPlan, parts: list[PartInfo]) -> None:
        about = {"job": self._job.name, "settings": plan.settings, "versions": versions()}
        storage, name = self._context.workspace.storage(), self._context.workspace.manifest.name
        await asyncio.to_thread(write_manifest, storage, name, parts, about)

    def _summary(
        self, plan: RunPlan, parts: list[PartInfo], run_id: str, counted: RowCounts, **figures: Any
    ) -> RunSummary:
        return summary_of(
            plan,
            parts,
            run_id=run_id,
            counted=counted,
            job=self._job.name,
            started_at=self._started_at,
            output=self._context.workspace.output,
            seconds=self._clock.monotonic() - self._started,
            left_by_kind=Counter(plan.left_errors) + self._failed_runs.left,
            notices=tuple(self._notices),
            replaced=self._replaced.to_json() if self._replaced is not None else {},
            **figures,
        )
