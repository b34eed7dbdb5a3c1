"""Answers that stand and are asked for again all the same: they go to the archive under names that no row asks for.

Under its own fingerprint the row would find its answer again. What moves is durable before the first request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from parquill.endpoint import realm_of
from parquill.errors import UsageError
from parquill.job import Job
from parquill.ledger import ReadOnlyLedger
from parquill.planning.archive_access import ArchiveAccess, archive_entry
from parquill.planning.consent import require_consent
from parquill.planning.dry_archive import DryArchive
from parquill.planning.failed_rows import RetryChoice
from parquill.planning.planner import Planner
from parquill.planning.run_options import RunOptions
from parquill.planning.run_plan import OpenSlice, RunPlan, as_open
from parquill.planning.selection import Selection
from parquill.results import RESULT_COLUMNS, ItemResult, PartInfo, Status, read_part, results_in
from parquill.storage import Storage
from parquill.text import counted
from parquill.workspace import Workspace

GO_ON = "after a stop the same command without `--retry ok` goes on; with it, all of them are asked once more"


def kept_answers(output: Storage, one: OpenSlice) -> Mapping[int, ItemResult]:
    """Return the answers that a slice would keep, by row."""
    if one.old is None or one.kept_at is None:
        return {}
    rows = np.flatnonzero(one.kept_at >= 0)
    table = read_part(output, one.old.name, RESULT_COLUMNS).take(pa.array(one.kept_at[rows]))
    kept = zip(rows.tolist(), results_in(one.old, table), strict=True)
    return {row: result for row, result in kept if result.status is Status.OK}


def without_answers(
    archive: ArchiveAccess,
    one: OpenSlice,
    rows: Sequence[int],
    answers: Mapping[int, ItemResult],
    name: Callable[[ItemResult], bytes],
) -> OpenSlice:
    """Lift the answers of rows from a slice's part, under other names, and have the rows asked again."""
    assert one.old is not None
    assert one.kept_at is not None
    entries = [(row, replace(archive_entry(answers[row]), fingerprint=name(answers[row]))) for row in rows]
    archive.lift(one.old.part_id, [(int(one.kept_at[row]), entry) for row, entry in entries])
    kept_at = one.kept_at.copy()
    kept_at[list(rows)] = -1
    return replace(one, kept_at=kept_at, stands=False)


def reopened(
    planner: Planner, archive: ArchiveAccess, plan: RunPlan, slices: Mapping[int, OpenSlice], lost: int
) -> RunPlan:
    """Return the plan with these slices, by number, in place of its own; `lost` answers have left them."""
    if not slices:
        return plan
    complete = {number: info for number, info in plan.complete.items() if number not in slices}
    merged = {**{one.number: one for one in plan.open}, **slices}
    ordered = tuple(one for _, one in sorted(merged.items()))
    plan = replace(plan, complete=complete, open=ordered, kept_ok=plan.kept_ok - lost)
    return planner.indexed(plan, archive)


def asked_again(planner: Planner, output: Storage, archive: ArchiveAccess, plan: RunPlan, chosen: Selection) -> RunPlan:
    """Return the plan in which the chosen rows that are answered are asked again (`--retry ok`)."""
    open_slices, slices, lost = {one.number: one for one in plan.open}, dict[int, OpenSlice](), 0
    for number, place in enumerate(plan.manifest.slices):
        if not chosen.touches(place):
            continue
        one = open_slices.get(number) or as_open(place, number, plan.complete[number])
        answers = kept_answers(output, one)
        rows = [row for row in chosen.rows(place, 0, place.rows) if row in answers]
        if rows:
            slices[number] = without_answers(archive, one, rows, answers, _superseded)
            archive.rename_archived([pair for row in rows for pair in _renamed(one, row, answers[row])])
            lost += len(rows)
    return reopened(planner, archive, plan, slices, lost)


def refuse_unless_agreed(
    planner: Planner,
    parts: Mapping[str, PartInfo],
    job: Job,
    workspace: Workspace,
    options: RunOptions,
    *,
    emulated: bool,
) -> str:
    """Say how many answers `--retry ok` takes out of the table; empty where there are none. Moves nothing.

    Raises `ReplaceNeededError` where neither job nor command agrees to it, `UsageError` where another output would
    give the same answers back.
    """
    if job.output.reuse_from:
        raise UsageError(
            "--retry ok: output.reuse_from would answer the rows from another output again; leave it out: "
            "--set output.reuse_from=[]"
        )
    with ReadOnlyLedger.at(workspace.ledger) as recorded:
        archive = DryArchive(recorded, realm_of(emulated=emulated))
        retry = RetryChoice(options.retry, job.retry.max_runs)
        plan = planner.plan(parts, archive, emulated=emulated, retry=retry, allow_shrink=options.allow_shrink)
        answers = plan.kept_ok - asked_again(planner, planner.output, archive, plan, options.chosen).kept_ok
    if not answers:
        return ""
    leave = "leaves the table, and its row is" if answers == 1 else "leave the table, and their rows are"
    what = f"--retry ok: {counted(answers, 'answer')} {leave} asked and paid again (the old ones go to the archive)"
    require_consent(
        f"{what}.",
        job,
        options,
        refused="output.on_change is refuse: choose another output.path for other answers.",
        asked="To go on: parquill run with --replace, or output.on_change: replace in the job file.",
    )
    return f"{what}; {GO_ON}"


def _renamed(one: OpenSlice, row: int, result: ItemResult) -> list[tuple[bytes, bytes]]:
    """What the archive may hold under the names by which the row would find it, and names by which none does."""
    names = {result.fingerprint, one.renamed[row] if one.renamed is not None else None} - {None}
    return [(name, _digest(name, "archived")) for name in names if name]


def _superseded(result: ItemResult) -> bytes:
    return _digest(result.fingerprint or b"", f"{result.generation_id} {result.finished_at}")


def _digest(fingerprint: bytes, what: str) -> bytes:
    return hashlib.blake2b(fingerprint + what.encode(), digest_size=16, person=b"asked again").digest()
