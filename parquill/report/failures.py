"""The section on failures: for each error kind its rows, cost, advice and some examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parquill import hints
from parquill.money import dollars
from parquill.report.figures import Collected, Sums
from parquill.report.format import cut_text, plain
from parquill.report.row_choice import SampledRow
from parquill.text import counted, percent

_MESSAGE = 400


@dataclass(frozen=True, slots=True)
class Failure:
    """One error kind: how many rows, what to do, a few of them."""

    kind: str
    rows: int
    share: float
    words: str
    what_to_do: str
    option: str | None
    """What asks again for these rows; None where the next run does so on its own."""
    examples: tuple[tuple[str, str, int], ...]
    """(key, message, attempts)"""


def failures(collected: Collected, left: Mapping[str, int]) -> list[Failure]:
    """Return every error kind, the most frequent first; `left` are rows that only `--retry` asks again, by kind."""
    examples = collected.samples.failures()
    total = max(1, sum(sums.rows for sums in collected.figures.by_kind.values()))
    ordered = sorted(collected.figures.by_kind.items(), key=lambda item: (-item[1].rows, item[0]))
    return [
        Failure(
            kind=kind,
            rows=sums.rows,
            share=sums.rows / total,
            words=_words(sums, total),
            what_to_do=hints.what_to_do(kind),
            option=hints.retry_option([kind], left),
            examples=tuple(_example(row, collected.key_column) for row in examples.get(kind, ())),
        )
        for kind, sums in ordered
    ]


def _words(sums: Sums, total: int) -> str:
    cost = dollars(sums.cost_pico) if sums.cost_pico else "nothing"
    return f"{counted(sums.rows, 'row')}, {percent(sums.rows / total)} of the failures; cost: {cost}"


def _example(row: SampledRow, key: str) -> tuple[str, str, int]:
    return plain(row.values[key]), cut_text(row.values["error_message"] or "", _MESSAGE), row.values["attempts"] or 0
