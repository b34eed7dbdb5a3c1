"""Finds the run records beside the output: the run that is reported, and the one before it."""

from __future__ import annotations

from dataclasses import dataclass

from parquill.storage import Storage
from parquill.summary import RunRecord

_RECORDS = "runs/*.json"
_MOST_READ = 60


@dataclass(frozen=True, slots=True)
class Nights:
    """The run that is reported, and the last one before it; None where there is no record."""

    current: RunRecord | None = None
    previous: RunRecord | None = None
    unreadable: int = 0


def read_nights(workspace: Storage, run_id: str | None = None) -> Nights:
    """Read the newest records; the current run is the one asked for, else the newest.

    A damaged record is counted and left out: it must not keep people from their report.
    """
    records, unreadable = [], 0
    for entry in workspace.glob(_RECORDS)[-_MOST_READ:]:
        try:
            records.append(RunRecord.load(workspace.read_bytes(entry.name)))
        except ValueError:
            unreadable += 1
    records.sort(key=lambda record: record.summary.started_at)
    wanted = [at for at, record in enumerate(records) if run_id in (None, record.summary.run_id)]
    if not wanted:
        return Nights(unreadable=unreadable)
    at = wanted[-1]
    return Nights(records[at], records[at - 1] if at else None, unreadable)
