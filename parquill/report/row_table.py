"""The table that filters and sorts: every row of a small output, a fair sample of a large one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parquill.money import usd
from parquill.report.figures import Collected
from parquill.report.format import cut_text, pico_of, plain, shown
from parquill.report.row_choice import SampledRow
from parquill.text import count

_CELL, _ANSWER_CELL = 80, 200
_MOST_KEPT = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table: what it shows, and what it sorts by where that is a number."""

    text: str
    number: float | int | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Sampled rows; `of` is how many there are in all."""

    header: tuple[str, ...]
    numeric: frozenset[int]
    long: int
    """The column of answers and errors."""
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]
    """(status, error kind, cells)"""
    of: int


def table(collected: Collected, rows: Sequence[SampledRow]) -> Table:
    """Return the table that filters and sorts."""
    fitting = [name for name in collected.kept_columns if _fits(name, rows)]
    kept = sorted(fitting, key=lambda name: _has_links(name, rows))[:_MOST_KEPT]
    header = (
        collected.key_column,
        *kept,
        "status",
        "answer or error",
        "tokens in",
        "tokens out",
        "cost $",
        "seconds",
        "provider",
    )
    first = len(kept) + 3
    body = tuple(
        (row.values["status"], row.values["error_kind"] or "", _cells(row.values, collected.key_column, kept))
        for row in rows
    )
    return Table(header, frozenset(range(first, first + 4)), first - 1, body, collected.figures.all.rows)


def _fits(name: str, rows: Sequence[SampledRow]) -> bool:
    """Tell columns worth a place in the table: some value, and not data: URLs or other bulk."""
    values = [plain(row.values[name]) for row in rows[:50]]
    return any(values) and sum(map(len, values)) <= 120 * len(values)


def _has_links(name: str, rows: Sequence[SampledRow]) -> bool:
    return any("://" in plain(row.values[name]) for row in rows[:50])


def _cells(row: Mapping[str, Any], key: str, kept: Sequence[str]) -> tuple[Cell, ...]:
    answer = row["error_message"] if row["answer"] is None and row["error_message"] else _answer_line(row)
    cost = pico_of(row["cost_usd"])
    status = row["error_kind"] or row["status"]
    return (
        Cell(cut_text(plain(row[key]), _CELL), _number(row[key])),
        *(_kept_cell(row[name]) for name in kept),
        Cell(status.replace("_", " ")),
        Cell(cut_text(answer, _ANSWER_CELL)),
        Cell(count(row["prompt_tokens"] or 0), row["prompt_tokens"] or 0),
        Cell(count(row["completion_tokens"] or 0), row["completion_tokens"] or 0),
        Cell(usd(cost) if row["cost_usd"] is not None else "", cost),
        Cell(f"{(row['latency_ms'] or 0) / 1000:.2f}", row["latency_ms"] or 0),
        Cell(row["provider"] or ""),
    )


def _kept_cell(value: Any) -> Cell:
    item = shown("", value)
    return Cell(cut_text(plain(value), _CELL), _number(value), item.link)


def _number(value: Any) -> float | int | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else None


def _answer_line(row: Mapping[str, Any]) -> str:
    if isinstance(row["answer"], Mapping):
        return " · ".join(
            plain(value) if not isinstance(value, list) else ", ".join(map(plain, value))
            for value in row["answer"].values()
        )
    return plain(row["answer"] if row["answer"] is not None else row["answer_text"])
