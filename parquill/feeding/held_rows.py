"""Rows that were refused, until it is known whose fault that is (`asking/refusals.py`).

A row leaves when its slice has nothing else left and the fault is known to be the row's, so that no
finished slice stays in memory for it; the others at the end of the run, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from parquill.asking import EndpointRefusals, Refusal, RowState
from parquill.planning import PreparedRow
from parquill.publishing import SliceResults


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A refused row, with what it needs to be asked again."""

    work: SliceResults
    prepared: PreparedRow
    asked: RowState
    refusal: Refusal


class HeldRows:
    """The refused rows of a run's process, by slice."""

    def __init__(self, refusals: EndpointRefusals) -> None:
        self._refusals = refusals
        self._rows: dict[int, list[HeldRow]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, row: HeldRow) -> None:
        """Hold a row."""
        self._rows.setdefault(row.work.plan.number, []).append(row)

    def known(self) -> HeldRow | None:
        """Take a row whose fault is its own, of a slice that waits for held rows only; None where there is none."""
        for rows in self._rows.values():
            work = rows[0].work
            if work.is_read and work.left == len(rows):
                found = next((row for row in rows if self._refusals.is_known(row.refusal)), None)
                if found is not None:
                    return self._taken(found)
        return None

    def take(self) -> HeldRow | None:
        """Take any row; None where there is none."""
        first = next(iter(self._rows.values()), None)
        return self._taken(first[0]) if first is not None else None

    def _taken(self, row: HeldRow) -> HeldRow:
        rows = self._rows[row.work.plan.number]
        rows.remove(row)
        if not rows:
            del self._rows[row.work.plan.number]
        return row
