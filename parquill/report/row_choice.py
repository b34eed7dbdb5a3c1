"""Selects rows in one pass, in memory that does not grow with the table.

A `Choice` keeps the rows with the smallest keys. With a random key that is a fair sample of any
number of rows; with a figure as key it is the oddest ones. The random keys come from a fixed seed,
so that the same output gives the same report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from parquill.results import row_values

_LONGEST_TEXT = 4_000
_MOST_ITEMS = 200


@dataclass(frozen=True, slots=True)
class SampledRow:
    """One row of the output, texts cut to what a page shows; `number` counts rows of the whole output from 0."""

    number: int
    values: Mapping[str, Any]


class BatchRows:
    """The rows of one batch as dictionaries, each made at most once and only when it is chosen."""

    def __init__(self, batch: pa.RecordBatch, first: int) -> None:
        self.first = first
        self.batch = batch
        self._made: dict[int, SampledRow] = {}

    def take(self, places: np.ndarray[Any, Any]) -> list[SampledRow]:
        """Return the rows at these places of the batch."""
        fresh = [int(place) for place in places if int(place) not in self._made]
        if fresh:
            for place in fresh:  # not taken together: pyarrow cannot take from every type
                values = row_values(self.batch, place)
                self._made[place] = SampledRow(self.first + place, {key: cut(value) for key, value in values.items()})
        return [self._made[int(place)] for place in places]


class Choice:
    """The `most` rows with the smallest keys among all that were offered."""

    __slots__ = ("_kept", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[float, int, SampledRow]] = []

    def offer(self, rows: BatchRows, keys: np.ndarray[Any, Any], places: np.ndarray[Any, Any]) -> None:
        """Offer rows of a batch; `keys[i]` belongs to row `places[i]`."""
        if len(self._kept) == self._most:
            good = keys < self._kept[-1][0]
            keys, places = keys[good], places[good]
        if not len(places):
            return
        best = np.argsort(keys, kind="stable")[: self._most]
        chosen = rows.take(places[best])
        self._kept += [(float(key), row.number, row) for key, row in zip(keys[best], chosen, strict=True)]
        self._kept.sort(key=lambda entry: entry[:2])
        del self._kept[self._most :]

    def rows(self) -> list[SampledRow]:
        """Return the chosen rows, smallest key first."""
        return [row for _, _, row in self._kept]


class Cut(str):
    """What stands for a value that a sample does not hold whole."""

    __slots__ = ()


def cut(value: Any) -> Any:
    """Return a value small enough for a page: long texts end in an ellipsis, long lists stop, bulk becomes a count."""
    if isinstance(value, str) and value[:5].lower() == "data:":
        return Cut(f"(data: URL of {len(value):,} characters)")
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else Cut(value[: _LONGEST_TEXT - 1] + "…")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Cut(f"({len(value):,} bytes)")
    if isinstance(value, dict):
        return {str(key): cut(item) for key, item in list(value.items())[:_MOST_ITEMS]}
    return [cut(item) for item in value[:_MOST_ITEMS]] if isinstance(value, (list, tuple)) else value
