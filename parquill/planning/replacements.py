"""Counts the answers that a changed setting would replace, before anything is written.

The plan is made on a dry-run archive and reported to `Audit`. An answer counts where its row is still in the
manifest and its part was asked with another setting. Changed rows and pictures need no confirmation; for rows
that left the manifest there is `--allow-shrink`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parquill.endpoint import realm_of
from parquill.job import Job
from parquill.ledger import ReadOnlyLedger
from parquill.manifest import Slice
from parquill.planning.consent import require_consent
from parquill.planning.dry_archive import DryArchive
from parquill.planning.failed_rows import RetryChoice
from parquill.planning.matching import Audit
from parquill.planning.other_outputs import OtherOutputs
from parquill.planning.planner import Planner
from parquill.planning.recorded_settings import RecordedSettings
from parquill.planning.run_options import RunOptions
from parquill.planning.run_plan import RunPlan
from parquill.planning.selection import Selection
from parquill.replaced_answers import Replaced
from parquill.results import PartInfo
from parquill.workspace import Workspace


class ReplacedAnswers(Audit):
    """Counts answers that changed settings take out of the table; one for a plan."""

    def __init__(
        self,
        recorded: RecordedSettings,
        archive: DryArchive,
        other_outputs: OtherOutputs | None,
        chosen: Selection,
        *,
        emulated: bool,
    ) -> None:
        """`archive`: the plan's; `chosen`: the rows that are asked."""
        self._recorded = recorded
        self._archive = archive
        self._other_outputs = other_outputs
        self._chosen = chosen
        self._emulated = emulated
        self._settings: dict[str, None] = {}
        self._of_moved: dict[str, None] = {}
        self._moved = array("q")
        """Hashes of the keys of answers that have no row in their part's slice today."""
        self._answers = self._back = self._left = 0

    def take(
        self, part: PartInfo, one: Slice | None, rows: Iterable[tuple[int, bytes | None]], elsewhere: Iterable[Any]
    ) -> None:
        """As `Audit` says."""
        settings = dict.fromkeys(changed_settings(self._recorded, part, emulated=self._emulated))
        if not settings:
            return
        before = self._answers, len(self._moved)
        asked = None if one is None or self._chosen.is_all else set(self._chosen.rows(one, 0, one.rows))
        for row, fingerprint in rows:
            self._count(fingerprint, asked=asked is None or row in asked)
        self._moved.extend(map(hash, elsewhere))
        if self._answers > before[0]:
            self._settings |= settings
        if len(self._moved) > before[1]:
            self._of_moved |= settings

    def found(self, plan: RunPlan) -> Replaced | None:
        """Return what was counted, once the plan is made; None where no answer loses its place."""
        if self._moved:
            self._count_moved(plan)
        settings = tuple(self._settings)
        if not self._answers:
            return None
        return Replaced(settings, self._answers, self._back, self._left, staying=plan.kept_ok)

    def _count_moved(self, plan: RunPlan) -> None:
        """Find the rows of answers that were in another slice's part."""
        moved, before = np.unique(np.frombuffer(self._moved, np.int64)), self._answers
        slices = {one.slice.part: one for one in plan.open}
        columns = plan.manifest.columns.needed(plan.reader.columns)
        for chunk in plan.manifest.read(columns, set(slices)) if slices else ():
            one = slices[chunk.slice.part]
            keys = plan.manifest.keys(chunk).to_pylist()
            hits = np.flatnonzero(np.isin(np.fromiter(map(hash, keys), np.int64, len(keys)), moved))
            rows = {chunk.start + int(hit) for hit in hits} - {row for row in range(one.slice.rows) if one.keeps(row)}
            asked = set(self._chosen.rows(chunk.slice, chunk.start, chunk.start + len(keys)))
            for prepared in plan.reader.read(chunk, rows):
                self._count(prepared.fingerprint, asked=prepared.row in asked)
        if self._answers > before:
            self._settings |= self._of_moved

    def _count(self, fingerprint: bytes | None, *, asked: bool) -> None:
        self._answers += 1
        if not asked or fingerprint is None:
            self._left += 1
        elif self._archive.holds(fingerprint) or (
            self._other_outputs is not None and self._other_outputs.holds(fingerprint)
        ):
            self._back += 1


def changed_settings(recorded: RecordedSettings, part: PartInfo, *, emulated: bool) -> tuple[str, ...]:
    """Return the settings that changed since a part's answers were asked; nothing where it holds none.

    Answers of the emulator are no loss beside a real endpoint's; the other way round they are.
    """
    realm = part.meta.get("realm")
    if not part.ok or (realm and not emulated):
        return ()
    simulated = ("model.endpoint",) if realm == "" and emulated else ()
    return (*recorded.changed(part), *simulated)


def audit_of(
    planner: Planner, parts: Mapping[str, PartInfo], archive: DryArchive, job: Job, chosen: Selection, *, emulated: bool
) -> ReplacedAnswers | None:
    """Return what counts the answers that a plan on `archive` would take out of the table for changed settings.

    None where no part was asked with other settings: that costs a look at their footers alone.
    """
    if not any(changed_settings(planner.recorded, part, emulated=emulated) for part in parts.values()):
        return None
    other_outputs = OtherOutputs.open(job, emulated=emulated)
    return ReplacedAnswers(planner.recorded, archive, other_outputs, chosen, emulated=emulated)


def replaced_by(
    planner: Planner,
    parts: Mapping[str, PartInfo],
    job: Job,
    workspace: Workspace,
    options: RunOptions,
    *,
    emulated: bool,
) -> Replaced | None:
    """Return which answers a run would take out of the table for changed settings, if any; moves nothing."""
    with ReadOnlyLedger.at(workspace.ledger) as ledger:
        archive = DryArchive(ledger, realm_of(emulated=emulated))
        audit = audit_of(planner, parts, archive, job, options.chosen, emulated=emulated)
        if audit is None:
            return None
        retry, allow_shrink = RetryChoice(options.retry, job.retry.max_runs), options.allow_shrink
        plan = planner.plan(parts, archive, emulated=emulated, retry=retry, allow_shrink=allow_shrink, audit=audit)
        return audit.found(plan)


def refuse_unwanted(replaced: Replaced, job: Job, options: RunOptions) -> None:
    """Raise `ReplaceNeededError` where answers would leave the table and neither job nor command agrees."""
    if replaced.lost or job.output.on_change == "refuse":
        require_consent(
            replaced.before(),
            job,
            options,
            refused="output.on_change is refuse: put the setting back, or choose another output.path.",
            asked="To go on: parquill run with --replace (a flow with replace: true), or output.on_change: replace in "
            "the job file.",
        )
