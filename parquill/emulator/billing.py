"""The emulator's bill: what it received and charged, one JSON line for each chat request.

A line is written with one unbuffered write when the request is accepted or refused, before
any byte of the reply: what was billed stays known when the process is killed, and what is
still being answered then is on the bill, as a provider would have it. Appending to a file
that ends in a torn line closes that line first. No key and no text stands in it.

Fields: time (epoch seconds), generation_id, status (0: no reply at all), kind (the
misbehaviour or null), model, body (16 hex of the body's SHA-256), text (8 hex of the last
user text's), prompt_tokens, completion_tokens, cost_pico, cost_usd (decimal string), key.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the bill; the fields are those of the file."""

    time: float
    generation_id: str
    status: int
    kind: str | None
    model: str
    body: str
    text: str
    prompt_tokens: int
    completion_tokens: int
    cost_pico: int
    cost_usd: str
    key: str


@dataclass(frozen=True, slots=True)
class LogTotals:
    """Sums over a bill. `by_body` counts the 200s that were charged, by body digest."""

    requests: int
    billed_pico: int
    billed_requests: int
    prompt_tokens: int
    completion_tokens: int
    by_status: Mapping[int, int]
    by_kind: Mapping[str, int]
    by_body: Mapping[str, int]
    torn_lines: int


class BillLog:
    """Appends lines to a file; without a path it only takes them."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else _open_for_append(path)

    def write(self, entry: LogEntry) -> None:
        """Write one line with one system call; raises OSError where the disk refuses."""
        if self._file is not None:
            line = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
            if os.write(self._file, line) != len(line):
                raise OSError("the emulator's log could take only part of a line")

    def close(self) -> None:
        """Close the log's file, if it was opened."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def iter_log(path: Path) -> Iterator[LogEntry]:
    """Yield the bill's lines in order; torn ones are passed over."""
    for entry in _lines(path):
        if entry is not None:
            yield entry


def read_log(path: Path) -> LogTotals:
    """Add up a bill. A line torn by a kill is counted in `torn_lines` and nowhere else."""
    statuses: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    bodies: Counter[str] = Counter()
    pico = billed = prompt = completion = torn = 0
    for entry in _lines(path):
        if entry is None:
            torn += 1
            continue
        statuses[entry.status] += 1
        kinds.update([entry.kind] if entry.kind else ())
        pico += entry.cost_pico
        prompt += entry.prompt_tokens
        completion += entry.completion_tokens
        if entry.cost_pico:
            billed += 1
            bodies.update([entry.body] if entry.status == 200 else ())
    return LogTotals(
        requests=statuses.total(),
        billed_pico=pico,
        billed_requests=billed,
        prompt_tokens=prompt,
        completion_tokens=completion,
        by_status=statuses,
        by_kind=kinds,
        by_body=bodies,
        torn_lines=torn,
    )


def _lines(path: Path) -> Iterator[LogEntry | None]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield LogEntry(**orjson.loads(line))
            except (orjson.JSONDecodeError, TypeError):
                yield None


def _open_for_append(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")
    return file
