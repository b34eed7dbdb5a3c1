"""The attempts table: what each request gave, kept where the job wants it (`output.keep_attempts`).

One Parquet file for every thousand attempts, in the run's own folder beside the output, written
whole. It is evidence, not the books: what a kill -9 takes of it (the last unfinished file) is
in the ledger all the same, without its raw text.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.results import money_array
from parquill.storage import Storage
from parquill.workspace import Workspace

_ROWS_PER_FILE = 1_000
_SCHEMA = pa.schema(
    [
        ("part", pa.string()),
        ("row", pa.int32()),
        ("fingerprint", pa.string()),
        ("number", pa.int32()),
        ("generation_id", pa.string()),
        ("http_status", pa.int32()),
        ("error_kind", pa.string()),
        ("error_message", pa.string()),
        ("text", pa.string()),
        ("cost_usd", pa.decimal128(18, 12)),
        ("cost_source", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("latency_ms", pa.int32()),
        ("ended_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class AttemptEvidence:
    """One request: where it belongs, what came back, what it cost. `row` counts within the part."""

    part: str
    row: int
    fingerprint: str | None
    number: int
    generation_id: str | None
    http_status: int
    error_kind: str | None
    error_message: str | None
    text: str | None
    cost_pico: int | None
    cost_source: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: int | None
    ended_at: int


class EvidenceFile:
    """Takes attempts and writes them away in whole files."""

    def __init__(self, folder: Storage, prefix: str) -> None:
        """`prefix` makes the names of this process's files its own."""
        self._folder = folder
        self._prefix = prefix
        self._rows: list[AttemptEvidence] = []
        self._files = 0
        self._writes: set[asyncio.Task[None]] = set()

    @classmethod
    def begin(cls, workspace: Workspace, prefix: str) -> EvidenceFile:
        """Make the folder of attempts beside an output ready."""
        folder = Storage.at(workspace.attempts)
        folder.make_ready()
        return cls(folder, prefix)

    def add(self, attempt: AttemptEvidence) -> None:
        """Keep one attempt; a full file is written on a thread."""
        self._rows.append(attempt)
        if len(self._rows) >= _ROWS_PER_FILE:
            write = asyncio.create_task(self._write())
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Write what is left; raises `StorageFullError` or `StorageFaultError` naming the file."""
        if self._rows:
            await self._write()
        if self._writes:
            await asyncio.gather(*self._writes)

    async def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._files += 1
        name = f"{self._prefix}-{self._files:06d}.parquet"
        await asyncio.to_thread(self._folder.write_whole, name, lambda sink: pq.write_table(_table(rows), sink))


def _table(rows: list[AttemptEvidence]) -> pa.Table:
    values = [asdict(row) for row in rows]
    columns = [
        money_array([row["cost_pico"] for row in values])
        if field.name == "cost_usd"
        else pa.array([row[field.name] for row in values], field.type)
        for field in _SCHEMA
    ]
    return pa.table(columns, schema=_SCHEMA)
