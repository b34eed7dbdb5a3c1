"""How a run's end is a flow run's state.

finished                    Completed, its message counting the rows that failed
exit status 4               a state of its own name (StoppedByBudget, ...), completed: the
                            rest waits for the next run, and nothing is broken
exit status 5, a wrong job  Failed, its message the remedy
interrupted                 Cancelled
"""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from parquill import advice
from parquill.errors import ParquillError, Stop
from parquill.summary import RunSummary, dollars
from parquill.words import count, printable

STATE_NAMES = {
    Stop.BUDGET: "StoppedByBudget",
    Stop.DAILY_LIMIT: "StoppedByDailyLimit",
    Stop.DEADLINE: "StoppedByDeadline",
    Stop.ERROR_RATE: "StoppedByErrorRate",
    Stop.COST_ALARM: "StoppedByCostAlarm",
    Stop.DISK_FULL: "StoppedByFullDisk",
}


class RunStoppedError(ParquillError):
    """A run that was refused or interrupted; `summary` is what became of it all the same."""

    def __init__(self, message: str, summary: RunSummary) -> None:
        super().__init__(message)
        self.summary = summary


def final_state(summary: RunSummary) -> State[RunSummary]:
    """Return the state that a flow run ends in; its result is the summary."""
    message, stop = outcome(summary), summary.stopped_by
    if stop is None:
        return Completed(message=message, data=summary)
    if (name := STATE_NAMES.get(stop)) is not None:
        return Completed(name=name, message=message, data=summary)
    end: Any = Failed if stop is Stop.REFUSED else Cancelled
    return end(message=message, data=RunStoppedError(message, summary))  # type: ignore[no-any-return]  # both make a State


def failed(error: ParquillError) -> State[Any]:
    """Return the state of a run that did not come to a summary."""
    return Failed(message=str(error), data=error)


def outcome(summary: RunSummary) -> str:
    """Say in a few sentences how a run ended, and what brings in the rest."""
    rows, stop = summary.rows, summary.stopped_by
    cost = dollars(summary.cost_pico) if summary.cost_known else "unknown"
    sentences = [
        f"{count(rows.ok)} of {count(rows.total)} rows answered, {count(rows.failed)} failed{_kinds(summary)}."
    ]
    if summary.requests == 0 and stop is None:
        sentences.append("Nothing was left to ask: 0 requests sent.")
    else:
        sentences.append(f"{count(summary.requests)} requests sent, cost {cost}.")
    if stop is not None:
        why = printable(summary.stop_message or advice.why_stopped(stop), most=600).rstrip(".")
        sentences.append(f"Stopped with {count(rows.not_attempted)} rows left: {why}. {advice.how_to_go_on(stop)}")
    return " ".join(sentences)


def _kinds(summary: RunSummary) -> str:
    kinds = ", ".join(f"{printable(kind)} {count(number)}" for kind, number in summary.errors_by_kind.items())
    return f" ({kinds})" if kinds else ""
