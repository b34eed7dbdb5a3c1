"""Builds the summary of a run from its plan and the published parts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from parquill.planning import RunPlan
from parquill.results import PartInfo
from parquill.summary import RowCounts, RunSummary

_log = logging.getLogger(__name__)


def summary_of(
    plan: RunPlan, parts: Sequence[PartInfo], *, run_id: str, counted: RowCounts, **figures: Any
) -> RunSummary:
    """Return the summary of a run.

    Args:
        plan: what the run had to do.
        parts: the parts that stand in the output at its end.
        run_id: the run's number in the ledger, as text; empty where no run began.
        counted: the rows as this process counted them: reused, and failed in earlier runs.
        figures: the other fields of `RunSummary`.
    """
    errors: Counter[str] = Counter()
    for info in parts:
        errors.update(info.by_error_kind)
    ok, failed = sum(info.ok for info in parts), sum(info.failed for info in parts)
    rows = RowCounts(
        total=plan.manifest.rows,
        ok=ok,
        failed=failed,
        not_attempted=plan.manifest.rows - ok - failed,
        kept=plan.kept_ok,
        reused=counted.reused,
        failed_before=counted.failed_before,
    )
    _log.info("run ends: %d rows answered, %d failed, %d not attempted", ok, failed, rows.not_attempted)
    return RunSummary(run_id=run_id, rows=rows, errors_by_kind=dict(errors), **figures)
