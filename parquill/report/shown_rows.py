"""Selects the rows to show: odd ones, one of each kind, failures, a random sample of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from parquill.report.figures import Numbers
from parquill.report.row_choice import BatchRows, Choice, SampledRow

ODDITIES = {
    "longest": "longest answer",
    "shortest": "shortest answer",
    "repaired": "most repaired",
    "slowest": "slowest",
    "expensive": "most expensive",
}
"""What makes a row odd, and how that is called on the page."""

_ODD_ROWS, _RANDOM_ROWS, _EXAMPLES = 4, 12, 5
_MOST_STRATA, _MOST_VALUES = 6, 24
MOST_TABLE_ROWS = 2_000
MOST_CARDS = 60


@dataclass(frozen=True, slots=True)
class Card:
    """A row of the gallery and why it is there: oddities, strata (`language: de`), or "random"."""

    row: SampledRow
    reasons: tuple[str, ...]


class Samples:
    """Chooses rows while the output is read once."""

    def __init__(self, kept: Sequence[str], seed: int = 20_260_101) -> None:
        """`kept`: columns of few different texts are strata; which ones they are shows while reading."""
        self._random = np.random.default_rng(seed)
        self._odd = {name: Choice(_ODD_ROWS) for name in ODDITIES}
        self._drawn = Choice(_RANDOM_ROWS)
        self._failed: dict[str, Choice] = {}
        self._table = Choice(MOST_TABLE_ROWS)
        self._strata: dict[str, dict[str, Choice]] = {name: {} for name in kept}
        self._ok = 0

    def add(self, rows: BatchRows, numbers: Numbers) -> None:
        """Offer a batch."""
        batch = rows.batch
        luck = self._random.random(batch.num_rows)
        everywhere = np.arange(batch.num_rows)
        self._table.offer(rows, luck, everywhere)
        ok = np.flatnonzero(_equal(batch.column("status"), "ok"))
        self._drawn.offer(rows, luck[ok], ok)
        self._ok += len(ok)
        self._add_odd(rows, numbers, ok)
        self._add_failed(rows, luck)
        for name in list(self._strata):
            self._add_stratum(name, rows, luck, ok)

    def _add_odd(self, rows: BatchRows, numbers: Numbers, ok: np.ndarray[Any, Any]) -> None:
        lengths = pc.utf8_length(rows.batch.column("answer_text")).fill_null(0).to_numpy(zero_copy_only=False)[ok]
        repairs = pc.list_value_length(rows.batch.column("answer_repairs")).fill_null(0)
        repairs = repairs.to_numpy(zero_copy_only=False)[ok]
        asked = ok[numbers.sent[ok]]
        self._odd["longest"].offer(rows, -lengths.astype(float), ok)
        self._odd["shortest"].offer(rows, lengths.astype(float), ok)
        self._odd["repaired"].offer(rows, -repairs[repairs > 0].astype(float), ok[repairs > 0])
        self._odd["slowest"].offer(rows, -numbers.latency[asked].astype(float), asked)
        self._odd["expensive"].offer(rows, -numbers.cost[asked].astype(float), asked)

    def _add_failed(self, rows: BatchRows, luck: np.ndarray[Any, Any]) -> None:
        kinds = rows.batch.column("error_kind")
        for kind in kinds.drop_null().unique().to_pylist():
            places = np.flatnonzero(_equal(kinds, kind))
            self._failed.setdefault(kind, Choice(_EXAMPLES)).offer(rows, luck[places], places)

    def _add_stratum(self, name: str, rows: BatchRows, luck: np.ndarray[Any, Any], ok: np.ndarray[Any, Any]) -> None:
        column, choices = rows.batch.column(name), self._strata[name]
        values = column.take(pa.array(ok)).drop_null().unique().to_pylist()
        if len({*choices, *map(_label, values)}) > _MOST_VALUES:
            del self._strata[name]  # too many different values to show one of each
            return
        for value in values:
            places = ok[_equal(column, value)[ok]]
            choices.setdefault(_label(value), Choice(1)).offer(rows, luck[places], places)

    def failures(self) -> Mapping[str, Sequence[SampledRow]]:
        """Return examples of each error kind."""
        return {kind: choice.rows() for kind, choice in self._failed.items()}

    def table_rows(self) -> Sequence[SampledRow]:
        """Return a fair sample of all rows, in the output's order; all of them where they are few."""
        return sorted(self._table.rows(), key=lambda row: row.number)

    def cards(self) -> Sequence[Card]:
        """Return the gallery, each row once with all its reasons: first the fair draw, in the output's order."""
        rows: dict[int, SampledRow] = {}
        reasons: dict[int, list[str]] = {}
        for reason, chosen in self._groups():
            for row in chosen:
                if row.number in rows or len(rows) < MOST_CARDS:
                    rows.setdefault(row.number, row)
                    reasons.setdefault(row.number, []).append(reason)
        drawn = sorted(number for number in rows if "random" in reasons[number])
        others = [number for number in rows if "random" not in reasons[number]]
        return [Card(rows[number], tuple(reasons[number])) for number in (*drawn, *others)]

    def _groups(self) -> Iterable[tuple[str, Sequence[SampledRow]]]:
        """Yield every group of rows, those that must not be crowded out first."""
        yield from ((name, choice.rows()) for name, choice in self._odd.items())
        yield "random", self._drawn.rows()
        # A column with hardly two rows to a value (a title, a file name) does not tell kinds apart.
        telling = [name for name, choices in self._strata.items() if 1 < len(choices) <= max(2, self._ok // 2)]
        for name in telling[:_MOST_STRATA]:
            yield from ((f"{name}: {value}", choice.rows()) for value, choice in sorted(self._strata[name].items()))


def _equal(column: pa.Array, value: Any) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = pc.equal(column, value).fill_null(False).to_numpy(zero_copy_only=False)
    return found.astype(bool)


def _label(value: Any) -> str:
    return str(value)[:60]


def may_be_stratum(kind: pa.DataType) -> bool:
    """Tell whether a kept column of this type can tell kinds of rows apart."""
    return bool(pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_large_string(kind))
