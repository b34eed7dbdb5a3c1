"""`estimate_job`: computes the estimate of a job, and enforces `--max-usd`."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pyarrow.compute as pc

from parquill.calibration import CalibrationData, SavedEstimate
from parquill.clock import Clock, SystemClock
from parquill.cost_range import SHARES
from parquill.endpoint import PRICE_TABLE, EndpointFacts, Keys, connected, facts_of, key_of, realm_of
from parquill.errors import EndpointRefusedError, EstimateAboveError, JobError, Stop
from parquill.estimation.attachments import PartsOf
from parquill.estimation.calibrate import choose_rows
from parquill.estimation.duration import pace
from parquill.estimation.estimate import Calibration, Cost, Estimate, EstimateOptions, Group, Rows
from parquill.estimation.interval import Errors, GroupSums, Sums, Totals
from parquill.estimation.pass_over_rows import PassOverRows
from parquill.estimation.sample_size import rows_wanted
from parquill.job import Job, Secret, state_home
from parquill.ledger import ReadOnlyLedger
from parquill.money import dollars, to_pico, usd_per_million
from parquill.planning import (
    EQUAL,
    FAILING,
    KEPT,
    TODO,
    DryArchive,
    OtherOutputs,
    Planner,
    Prepared,
    Recheck,
    Refresher,
    RetryChoice,
    RowSorter,
    RunOptions,
    RunPlan,
    asked_again,
    audit_of,
    missing_pictures_notice,
    prepare,
)
from parquill.prices import ATTO_PER_PICO, CostRow, Price, PriceSource, compare, read_table
from parquill.results import PartInfo, Status, read_part
from parquill.running import endpoint_of, price_snapshot, run_job
from parquill.storage import Storage
from parquill.threads import in_thread, wait_in
from parquill.tokens import LengthEstimate
from parquill.workspace import Workspace

_PARTS_READ = 64
"""Parts that answers' lengths are learned from, where the run left no record of them."""


async def estimate_job(
    job: Job, options: EstimateOptions | None = None, *, key: Keys = None, clock: Clock | None = None
) -> Estimate:
    """Say what a job would cost now, and how long it would take.

    Sends nothing but look-ups of prices, unless `options.calibrate` asks for rows to be sent first. Raises
    `UsageError` for what a run would be refused for, `EstimateAboveError` where the calibration's
    rows could cost more than `options.max_usd`, `EndpointRefusedError` where the endpoint refuses them.
    """
    options, clock = options or EstimateOptions(), clock or SystemClock()
    found = await _Desk(job, options, clock).estimate(key)
    if not options.calibrate or not found.rows.todo:
        return found
    chosen = await in_thread(choose_rows, _workspace(job), options.calibrate)
    if options.max_usd is not None:
        _refuse_calibration(found, len(chosen), options.max_usd)
    summary = await run_job(
        job,
        RunOptions(select=chosen, retry=options.retry, allow_shrink=options.allow_shrink),
        key=key,
        clock=clock,
    )
    if summary.stopped_by is Stop.REFUSED:
        raise EndpointRefusedError(summary.stop_message or "the endpoint refused the calibration")
    again = await _Desk(job, options, clock).estimate(key)
    return dataclasses.replace(again, calibration=Calibration(len(chosen), summary.cost_pico))


def refuse_above(estimate: Estimate, usd: Decimal, *, setting: str = "--max-usd") -> None:
    """Raise `EstimateAboveError` where the interval's upper end is above so many dollars, or is not known.

    `setting` is what the user gave them with.
    """
    if estimate.cost is None:
        raise EstimateAboveError(
            f"{setting} {usd:f}: no price is known for {estimate.model}, so the cost cannot be estimated: name "
            "model.price {prompt, completion} in USD per token"
        )
    if estimate.cost.high_pico > to_pico(usd):
        raise EstimateAboveError(
            f"{setting} {usd:f}: this may cost up to {dollars(estimate.cost.high_pico)} (95 %; expected "
            f"{dollars(estimate.cost.expected_pico)}). Nothing was sent. Allow more, ask fewer rows with --limit, or "
            "narrow the estimate with `parquill estimate --calibrate 50`"
        )


def _refuse_calibration(estimate: Estimate, rows: int, usd: Decimal) -> None:
    """A calibration's rows are a sample of those to send: it may cost their share of the worst case."""
    if estimate.cost is None:
        refuse_above(estimate, usd)
        return
    most = -(-estimate.cost.worst_pico * rows // estimate.rows.todo)
    if most > to_pico(usd):
        raise EstimateAboveError(
            f"--max-usd {usd}: the {rows} rows of --calibrate may cost up to {dollars(most)}. Nothing was sent"
        )


def _workspace(job: Job) -> Workspace:
    return Workspace.of(job.output.path, state_home(), shared=job.output.shared)


class _Desk:
    """Computes one estimate."""

    def __init__(self, job: Job, options: EstimateOptions, clock: Clock) -> None:
        self._job = _looking(job) if options.check_images else job
        self._options = options
        self._clock = clock
        self._workspace = _workspace(job)

    async def estimate(self, key: Keys) -> Estimate:
        opened = await in_thread(prepare, self._job, self._clock)
        self._check_column(opened)
        facts = await self._facts(key)
        async with opened.images:
            return await in_thread(self._reckon, opened, facts, asyncio.get_running_loop())

    def _check_column(self, opened: Prepared) -> None:
        by = self._options.by
        if by is not None and by not in opened.manifest.columns.schema.names:
            names = ", ".join(map(repr, opened.manifest.columns.schema.names))
            raise JobError(f"--by {by}: the manifest has no such column; it has {names}")

    async def _facts(self, key: Keys) -> EndpointFacts:
        """What the endpoint says; a price needs no key."""
        secrets = [_key(one, key) for one in self._job.each]
        async with connected(self._job, secrets, endpoint_of, None, where=None, clock=self._clock) as endpoints:
            return facts_of(endpoints)

    def _reckon(self, opened: Prepared, facts: EndpointFacts, loop: asyncio.AbstractEventLoop) -> Estimate:
        """Plan, read all rows and add up; on a thread of its own."""
        self._workspace.check()
        realm, options = realm_of(emulated=facts.emulated), self._options
        output = Storage.at(self._job.output.path)
        planner = Planner(opened, output)
        parts = planner.standing()
        calibration_data = CalibrationData.take_up(opened, self._workspace, realm)
        if not calibration_data.length.count:
            _learn_lengths(calibration_data, opened, list(parts.values()), emulated=facts.emulated)
        with ReadOnlyLedger.at(self._workspace.ledger) as recorded:
            archive = DryArchive(recorded, realm)
            retry = RetryChoice(options.retry, self._job.retry.max_runs)
            chosen = RunOptions(limit=options.limit).chosen
            audit = audit_of(planner, parts, archive, self._job, chosen, emulated=facts.emulated)
            plan = planner.plan(
                parts,
                archive,
                emulated=facts.emulated,
                retry=retry,
                allow_shrink=options.allow_shrink,
                audit=audit,
            )
            replaced = audit.found(plan) if audit is not None else None
            judge = Recheck(opened, output, wait=wait_in(loop))
            plan = judge.judged(plan, planner, archive, chosen, rewrites=False)
            if options.again:
                plan = asked_again(planner, output, archive, plan, chosen)
            refresher = Refresher(planner, opened.images, output, archive, wait=wait_in(loop))
            if self._job.images.refresh:
                plan = refresher.refreshed(plan, chosen)
            other_outputs = OtherOutputs.open(self._job, emulated=facts.emulated)
            sorter = RowSorter(opened, plan, archive, other_outputs, chosen, retry)
            pictures = PartsOf(opened.images, check=options.check_images, wait=wait_in(loop))
            row_pass = PassOverRows(opened, facts, calibration_data, sorter, pictures, by=options.by)
            self._workspace.make_ready()
            self._workspace.storage().write_whole(self._workspace.estimate.name, row_pass.write)
        found = self._told(opened, facts, calibration_data, plan, row_pass)
        notices = (*found.notices, *refresher.notices)
        found = dataclasses.replace(found, notices=notices, replaced=replaced)
        if found.cost is not None and options.limit is None:
            SavedEstimate(found.settings, realm, found.unanswered, found.cost.range).keep(self._workspace)
        return found

    def _told(
        self,
        opened: Prepared,
        facts: EndpointFacts,
        calibration_data: CalibrationData,
        plan: RunPlan,
        row_pass: PassOverRows,
    ) -> Estimate:
        job, length, states = self._job, calibration_data.length.estimate(), row_pass.states
        errors = Errors.of(row_pass.sums, calibration_data.counter, calibration_data.length)
        totals = Totals(row_pass.sums, errors, facts.price, calibration_data.surplus)
        time = pace(row_pass.sums.rows, row_pass.sums.tokens, [one.limits for one in job.each], self._workspace)
        now = dt.datetime.fromtimestamp(self._clock.wall(), dt.UTC)
        estimate = Estimate(
            job=job.name,
            model=job.model.name,
            output=self._workspace.output,
            rows=Rows(states[TODO], states[KEPT], states[EQUAL], states[FAILING]),
            tokens=row_pass.sums.tokens,
            images=row_pass.sums.images,
            cost=_cost(totals, row_pass, length),
            price=price_snapshot(facts.price),
            price_line=_price_line(facts.price),
            answer_tokens=length.expected,
            answer_source=length.source,
            usage_records=calibration_data.counter.usage_records.count,
            surplus=calibration_data.surplus.ratio,
            unanswered=plan.todo,
            settings=plan.settings,
            realm=calibration_data.realm,
            seconds=time.seconds,
            pace=time.said,
            ends_at=None if time.seconds is None else (now + dt.timedelta(seconds=time.seconds)).astimezone(),
            failing_by_kind=dict(row_pass.faults),
            by=self._options.by,
            groups=_groups(totals, row_pass.groups),
            comparison=_comparison(row_pass.sums) if self._options.compare else (),
            narrowing=rows_wanted(
                row_pass.sums, calibration_data.counter, calibration_data.length, facts.price, calibration_data.surplus
            ),
        )
        pictureless = missing_pictures_notice(row_pass.pictureless, job.manifest, sent=False)
        said = [*opened.shape.notices, *_notices(job, facts, estimate), *([pictureless] if pictureless else [])]
        return dataclasses.replace(estimate, notices=tuple(said))


def _looking(job: Job) -> Job:
    """The job with pictures looked at before they are passed on."""
    return job.model_copy(update={"images": job.images.model_copy(update={"check": True})})


def _key(job: Job, keys: Keys) -> Secret | None:
    try:
        return key_of(job, keys)
    except JobError:
        return None


def _learn_lengths(
    calibration_data: CalibrationData, opened: Prepared, parts: Sequence[PartInfo], *, emulated: bool
) -> None:
    """Take the lengths of answers that stand in the output and were asked in the same way."""
    output = Storage.at(opened.job.output.path)
    ours = [
        one
        for one in parts
        if one.ok and one.settings == calibration_data.settings and bool(one.emulator_rows) == emulated
    ]
    names = ["status", "attempts", "prompt_tokens", "completion_tokens"]
    for info in itertools.islice(ours[:: max(1, len(ours) // _PARTS_READ)], _PARTS_READ):
        table = read_part(output, info.name, names)
        once = table.filter(pc.and_(pc.equal(table["status"], Status.OK.value), pc.equal(table["attempts"], 1)))
        for prompt, completion in zip(*(once[name].to_pylist() for name in names[2:]), strict=True):
            if prompt is not None and completion is not None:
                calibration_data.length.observe(completion, prompt)


def _cost(totals: Totals, row_pass: PassOverRows, length: LengthEstimate) -> Cost | None:
    """The cost with its rows' quantiles; an answer's own length scatters around what is expected of it."""
    cost = totals.cost()
    if cost is None or totals.price is None:
        return None
    scatter = length.spread * totals.price.rates.completion / ATTO_PER_PICO
    return dataclasses.replace(cost, rows_pico=row_pass.costs.quantiles(SHARES, scatter))


def _groups(totals: Totals, sums: Mapping[str, GroupSums]) -> tuple[Group, ...]:
    groups = [Group(name, one.rows, one.tokens, totals.expected_pico(one)) for name, one in sums.items()]
    return tuple(sorted(groups, key=lambda one: (-(one.expected_pico or one.rows), one.value)))


def _comparison(sums: Sums) -> tuple[CostRow, ...]:
    tokens, table = sums.tokens, read_table(PRICE_TABLE)
    return tuple(compare(tokens.prompt, tokens.completion, table, requests=sums.rows, images=sums.images))


def _price_line(price: Price | None) -> str:
    """Where the price comes from, for people."""
    if price is None:
        return "unknown"
    rates = price.rates
    told = f"${usd_per_million(rates.prompt)} in, ${usd_per_million(rates.completion)} out, a million tokens"
    match price.source:
        case PriceSource.JOB:
            return f"{told}, by the job's model.price"
        case PriceSource.TABLE:
            return f"{told}, by the table, of {price.as_of}"
        case PriceSource.ENDPOINT:
            several = f"{len(price.offers)} providers" if len(price.offers) > 1 else price.provider or "the endpoint"
            return f"{told}, as {several} said just now"


def _notices(job: Job, facts: EndpointFacts, estimate: Estimate) -> list[str]:
    """What a person must know before believing the figures."""
    said = list(facts.notices)
    if facts.address_advice and facts.price is not None:
        said.append(facts.address_advice)
    if not facts.reachable and not facts.why_unpriced:
        said.append(f"{facts.base_url} could not be reached: what it asks now and what it can do are not known")
    if facts.price is None:
        said.append(
            f"NO PRICE is known: tokens are counted, the cost is not. {facts.why_unpriced}"
            if facts.why_unpriced
            else f"NO PRICE is known for {job.model.name} at {facts.base_url}: tokens are counted, the cost is not. "
            "Name model.price {prompt, completion} in USD per token"
        )
    cost, cap = estimate.cost, job.budget.usd
    if cost is not None and cap is not None and cost.high_pico > to_pico(cap):
        said.append(
            f"budget.usd {cap} is below the upper end of the interval, {dollars(cost.high_pico)}: "
            "the run may stop early"
        )
    days = [one.limits.requests_per_day for one in job.each if not one.limits.wait]
    per_day = sum(one for one in days if one is not None)
    if None not in days and len(days) == len(job.each) and estimate.rows.todo > per_day:
        said.append(
            f"limits.requests_per_day {per_day:,} is below the rows to send: the run will stop there for the day"
        )
    return said
