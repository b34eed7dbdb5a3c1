"""Tables about single requests, beside the output: `attempts` and `drift`.

`attempts`: what each request gave, kept where the job wants it (`output.keep_attempts`). `drift`: the answers that
were billed otherwise than their tokens cost at the price of the run's start; there is none where all were.

One Parquet file for every thousand lines, in the run's own folder beside the output, written
whole. It is evidence, not the books: what a kill -9 takes of it (the last unfinished file) is
in the ledger all the same, without its raw text. What must stand there is counted in the ledger
(`attempt_log_check.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from parquill.chat import ChatCompletion
from parquill.errors import OutputError, StorageFaultError
from parquill.event_loop import Tasks
from parquill.results import money_array
from parquill.storage import Storage

ROWS_PER_FILE = 1_000
_MONEY = pa.decimal128(18, 12)
ATTEMPTS = pa.schema(
    [
        ("part", pa.string()),
        ("row", pa.int32()),
        ("fingerprint", pa.string()),
        ("number", pa.int32()),
        ("endpoint", pa.string()),
        ("generation_id", pa.string()),
        ("http_status", pa.int32()),
        ("error_kind", pa.string()),
        ("error_message", pa.string()),
        ("text", pa.string()),
        ("cost_usd", _MONEY),
        ("cost_source", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("latency_ms", pa.int32()),
        ("ended_at", pa.timestamp("us", tz="UTC")),
    ]
)
DRIFT = pa.schema(
    [
        ("part", pa.string()),
        ("row", pa.int32()),
        ("fingerprint", pa.string()),
        ("generation_id", pa.string()),
        ("provider", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cost_usd", _MONEY),
        ("listed_usd", _MONEY),
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
    endpoint: str
    """The base URL that it was sent to, as it is shown."""
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


@dataclass(frozen=True, slots=True)
class DriftEvidence:
    """One answer's bill, and what its tokens cost at the price of the start. `row` counts within the part."""

    part: str
    row: int
    fingerprint: str | None
    generation_id: str | None
    provider: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_pico: int
    listed_pico: int
    ended_at: int

    @classmethod
    def of(
        cls, completion: ChatCompletion, listed_pico: int, ended_at: int, *, at: tuple[str, int, bytes | None]
    ) -> Self:
        """Note the bill of an answer, its `usage.cost_pico`; `at` are its part, row and fingerprint."""
        (part, row, fingerprint), usage = at, completion.usage
        assert usage is not None
        return cls(
            part=part,
            row=row,
            fingerprint=fingerprint.hex() if fingerprint else None,
            generation_id=completion.generation_id,
            provider=completion.provider,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_pico=usage.cost_pico or 0,
            listed_pico=listed_pico,
            ended_at=ended_at,
        )


Evidence = TypeVar("Evidence", AttemptEvidence, DriftEvidence)


class EvidenceFile(Generic[Evidence]):
    """Takes lines of one table and writes them away in whole files; where there are none, there is no file."""

    def __init__(
        self, folder: Path, prefix: str, schema: pa.Schema, on_fault: Callable[[BaseException], object]
    ) -> None:
        """`prefix` makes the names of this process's files its own; `on_fault` is called for a write that failed."""
        self._folder = Storage.at(folder, private=True)
        self._prefix = prefix
        self._schema = schema
        self._rows: list[Evidence] = []
        self._files = 0
        self._writes = Tasks[None](on_fault)
        self._unwritten: list[tuple[str, list[Evidence]]] = []
        self.lines = 0
        """Lines taken so far."""

    def add(self, line: Evidence) -> None:
        """Keep one line; a full file is written on a thread."""
        self.lines += 1
        self._rows.append(line)
        if len(self._rows) >= ROWS_PER_FILE:
            self._writes.start(self._write(*self._next_file()))

    async def close(self) -> None:
        """Write what is left, and again what could not be written before.

        Raises `StorageFullError` or `StorageFaultError` naming the file.
        """
        await self._writes.all_ended()
        if self._rows:
            self._unwritten.append(self._next_file())
        unwritten, self._unwritten = self._unwritten, []
        for name, rows in unwritten:
            await self._write(name, rows)

    def _next_file(self) -> tuple[str, list[Evidence]]:
        rows, self._rows = self._rows, []
        self._files += 1
        return file_name(self._prefix, self._files), rows

    async def _write(self, name: str, rows: list[Evidence]) -> None:
        try:
            await asyncio.to_thread(self._write_file, name, rows)
        except BaseException:
            self._unwritten.append((name, rows))
            raise

    def make_ready(self) -> None:
        """Create the folder; raises `OutputError` where it cannot be written to."""
        self._folder.make_ready()

    def _write_file(self, name: str, rows: list[Evidence]) -> None:
        if name == file_name(self._prefix, 1):
            try:
                self.make_ready()
            except OutputError as error:  # the run is under way: this is no wrong usage any more
                raise StorageFaultError(str(error)) from error
        table = _table(rows, self._schema)
        self._folder.write_whole(name, lambda sink: pq.write_table(table, sink))


def file_name(prefix: str, number: int) -> str:
    """Return the name of a process's n-th file of a table."""
    return f"{prefix}-{number:06d}.parquet"


def prefix_of(name: str) -> str:
    """Return whose file it is, by its name: the inverse of `file_name`."""
    return name.rpartition("-")[0]


def _table(rows: Sequence[AttemptEvidence | DriftEvidence], schema: pa.Schema) -> pa.Table:
    values = [asdict(row) for row in rows]
    columns = [
        money_array([row[field.name.replace("_usd", "_pico")] for row in values])
        if field.type == _MONEY
        else pa.array([row[field.name] for row in values], field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
