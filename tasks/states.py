"""Maps a run's end to a flow run's state.

    finished                    Completed, its message counting the rows that failed
    exit status 4               a state of its own name (StoppedByBudget, ...), completed: the
                                rest waits for the next run, and nothing is broken
    exit status 5, a wrong job  Failed, its message the remedy
    output and books at odds    Failed
    interrupted                 Cancelled

The result of a flow run is the `RunSummary`, also inside `RunStoppedError` where there is one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from parquill import hints
from parquill.errors import ParquillError, Stop
from parquill.money import dollars
from parquill.replaced_answers import Replaced
from parquill.summary import RunSummary
from parquill.text import count, printable

if TYPE_CHECKING:
    from parquill.verification import Verification

STATE_NAMES = {
    Stop.BUDGET: "StoppedByBudget",
    Stop.DAILY_LIMIT: "StoppedByDailyLimit",
    Stop.DEADLINE: "StoppedByDeadline",
    Stop.ERROR_RATE: "StoppedByErrorRate",
    Stop.COST_ALARM: "StoppedByCostAlarm",
    Stop.DISK_FULL: "StoppedByFullDisk",
    Stop.UNREACHABLE: "StoppedUnreachable",
}

_ENDS_ALL = frozenset({Stop.DEADLINE, Stop.DISK_FULL, Stop.REFUSED, Stop.SIGINT, Stop.SIGTERM})
"""What would stop the next night of a backfill just the same."""


class RunStoppedError(ParquillError):
    """A run that did not end well; `summary` is what became of it all the same."""

    def __init__(self, message: str, summary: RunSummary) -> None:
        super().__init__(message)
        self.summary = summary


class MismatchError(RunStoppedError):
    """A run whose output and books do not match."""


@dataclass(frozen=True, slots=True)
class Night:
    """One night of a nightly job, and how it ended."""

    date: dt.date
    state: State[Any]
    report: Path | None = None

    @property
    def summary(self) -> RunSummary | None:
        """What the run did; None where it did not begin."""
        data = self.state.data
        if isinstance(data, RunStoppedError):
            return data.summary
        return data if isinstance(data, RunSummary) else None

    @property
    def ends_all(self) -> bool:
        """Whether the next night of a backfill would end like this one."""
        return self.summary is not None and self.summary.stopped_by in _ENDS_ALL


def final_state(summary: RunSummary) -> State[RunSummary]:
    """Return the state that a flow run ends in; its result is the summary."""
    message, stop = outcome(summary), summary.stopped_by
    if stop is None:
        return Completed(message=message, data=summary)
    if (name := STATE_NAMES.get(stop)) is not None:
        return Completed(name=name, message=message, data=summary)
    end: Any = Failed if stop is Stop.REFUSED else Cancelled
    return end(message=message, data=RunStoppedError(message, summary))  # type: ignore[no-any-return]  # both make a State


def failed(error: Exception) -> State[Any]:
    """Return the state of a run that did not come to a summary."""
    known = isinstance(error, ParquillError)
    return Failed(message=str(error) if known else f"a fault of Parquill's own: {type(error).__name__}", data=error)


def mismatched(summary: RunSummary, verification: Verification) -> State[Any]:
    """Return the state of a run whose output does not match its manifest, or whose books do not balance."""
    kinds = ", ".join(f"{printable(one.kind)} {count(one.count)}" for one in verification.findings)
    message = f"Output and manifest do not match ({kinds}): `parquill verify` shows where. {outcome(summary)}"
    return Failed(message=message, data=MismatchError(message, summary))


def all_nights(nights: Sequence[Night], missed: Sequence[dt.date] = ()) -> State[Any]:
    """Return the state of several nights: that of the one which ended worst; of one night, its own."""
    if len(nights) == 1 and not missed:
        return nights[0].state
    worst = max((night.state for night in nights), key=_severity)
    lines = [f"{night.date}: {night.state.message}" for night in nights]
    lines += [f"{date}: not begun" for date in missed]
    message = "\n".join(lines)
    if worst.is_completed():
        summaries = tuple(night.summary for night in nights)
        return Completed(name=worst.name, message=message, data=summaries)
    end: Any = Failed if worst.is_failed() else Cancelled
    return end(message=message, data=worst.data)  # type: ignore[no-any-return]  # both make a State


def _severity(state: State[Any]) -> int:
    if state.is_failed():
        return 3
    if state.is_cancelled():
        return 2
    return 1 if state.name != "Completed" else 0


def outcome(summary: RunSummary) -> str:
    """Say in a few sentences how a run ended, and what brings in the rest."""
    rows, stop = summary.rows, summary.stopped_by
    cost = dollars(summary.cost_pico) if summary.cost_known else "unknown"
    kept = f" ({count(rows.kept)} of them in earlier runs)" if rows.kept else ""
    sentences = [
        f"{count(rows.ok)} of {count(rows.total)} rows answered{kept}, {count(rows.failed)} failed{_kinds(summary)}."
    ]
    if rows.failed_before:
        sentences.append(f"{count(rows.failed_before)} of the failed rows failed in earlier runs and were not asked.")
    if summary.left_by_kind and (option := hints.retry_option(summary.left_by_kind, summary.left_by_kind)):
        sentences.append(f"Rows that failed alike in retry.max_runs runs are asked again only with {option}.")
    if summary.requests == 0 and stop is None:
        sentences.append("Nothing was left to ask: 0 requests sent.")
    else:
        sentences.append(f"{count(summary.requests)} requests sent, cost {cost}.")
    if summary.replaced:
        sentences.append(Replaced.of_json(summary.replaced).after())
    if stop is not None:
        why = printable(summary.stop_message or hints.why_stopped(stop), most=600).rstrip(".")
        sentences.append(f"Stopped with {count(rows.not_attempted)} rows left: {why}. {hints.how_to_go_on(stop)}")
    return " ".join(sentences)


def _kinds(summary: RunSummary) -> str:
    kinds = ", ".join(f"{printable(kind)} {count(number)}" for kind, number in summary.errors_by_kind.items())
    return f" ({kinds})" if kinds else ""
