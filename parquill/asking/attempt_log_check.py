"""What one process of a run leaves in the tables about single requests, and whether all of it stands.

The tables are `attempts` and `drift` (`attempt_log.py`). How many lines a process must have left is
noted in the ledger: of attempts the requests that it booked, which the ledger counts by itself.
`verify` holds the tables against that. A process that died noted only that it began; the next run
takes what stands for what there is. What is lost from tables that were whole, it says once.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.asking.attempt_log import ATTEMPTS, DRIFT, AttemptEvidence, DriftEvidence, EvidenceFile, prefix_of
from parquill.ledger import EvidenceCount, Ledger
from parquill.workspace import Workspace


class RunEvidence:
    """The tables of one process that asks rows."""

    def __init__(
        self,
        ledger: Ledger,
        workspace: Workspace,
        process: str,
        *,
        keep_attempts: bool,
        on_fault: Callable[[BaseException], object],
    ) -> None:
        """`process` begins the names of its files; `on_fault` is told at once of a write that failed."""
        self._ledger = ledger
        self._begun = EvidenceCount(process, 0 if keep_attempts else None, 0, ended=False)
        self.drift = EvidenceFile[DriftEvidence](workspace.drift, process, DRIFT, on_fault)
        """Takes the answers that were billed otherwise than the price of the start says."""
        self.attempts: EvidenceFile[AttemptEvidence] | None = None
        """Takes every request, where the job keeps them."""
        if keep_attempts:
            self.attempts = EvidenceFile(workspace.attempts, process, ATTEMPTS, on_fault)

    async def begin(self) -> None:
        """Note that lines may be lost from here on; raises `OutputError` where they cannot be kept."""
        if self.attempts is not None:
            await asyncio.to_thread(self.attempts.make_ready)
            await self._ledger.note_evidence(self._begun)

    async def write(self) -> None:
        """Write what is left; raises `StorageFullError` or `StorageFaultError` naming the file."""
        for table in (self.attempts, self.drift):
            if table is not None:
                await table.close()

    async def end(self, requests: int) -> None:
        """Note how many lines there must be; `requests` is what the process booked."""
        if self.attempts is not None or self.drift.lines:
            attempts = None if self.attempts is None else requests
            count = dataclasses.replace(self._begun, attempts=attempts, drift=self.drift.lines, ended=True)
            await self._ledger.note_evidence(count)


@dataclass(frozen=True, slots=True)
class Lost:
    """Lines that one process left and that a table has not."""

    table: str
    process: str
    expected: int
    standing: int

    def __str__(self) -> str:
        """Say it to people."""
        lines = "requests" if self.table == "attempts" else "answers with another price"
        if self.standing > self.expected:
            return f"{self.process} noted {self.expected:,} {lines}, the table {self.table} holds {self.standing:,}"
        missing = self.expected - self.standing
        return f"{missing:,} of {self.expected:,} {lines} of {self.process} are not in the table {self.table}"


def lost_lines(counts: list[EvidenceCount], workspace: Workspace) -> list[Lost]:
    """Hold the tables beside an output against what its processes noted; those that have not ended are left out."""
    attempts, drift = standing_lines(workspace.attempts), standing_lines(workspace.drift)
    found = []
    for one in counts:
        if not one.ended:
            continue
        if one.attempts is not None:
            found.append(Lost("attempts", one.process, one.attempts, attempts.get(one.process, 0)))
        found.append(Lost("drift", one.process, one.drift, drift.get(one.process, 0)))
    return [one for one in found if one.expected != one.standing]


async def accept_what_stands(ledger: Ledger, workspace: Workspace) -> tuple[str, ...]:
    """At a run's start: say what is lost from the tables, and take what stands for what there is from here on."""
    counts = await ledger.evidence()
    if not counts:
        return ()
    lost = await asyncio.to_thread(lost_lines, counts, workspace)
    open_or_lost = {one.process for one in lost} | {one.process for one in counts if not one.ended}
    if open_or_lost:
        attempts = await asyncio.to_thread(standing_lines, workspace.attempts)
        drift = await asyncio.to_thread(standing_lines, workspace.drift)
        for one in counts:
            if one.process in open_or_lost:
                stands = None if one.attempts is None else attempts.get(one.process, 0)
                await ledger.note_evidence(
                    dataclasses.replace(one, attempts=stands, drift=drift.get(one.process, 0), ended=True)
                )
    return tuple(f"{one}; what they cost is in the books all the same" for one in lost)


def standing_lines(folder: Path) -> Mapping[str, int]:
    """Count a table's lines by the process that wrote them, from its files' footers; a damaged file has none."""
    lines: dict[str, int] = {}
    for path in folder.glob("*.parquet"):
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException):
            rows = 0
        lines[prefix_of(path.name)] = lines.get(prefix_of(path.name), 0) + rows
    return lines
