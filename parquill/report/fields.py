"""Statistics of the answers by field: counts of values and tags, lengths, numbers, writing systems.

A struct is followed into its fields, a list into its items (`tags[]`), as deep as the schema goes.
Texts of few different values are counted, others measured. The writing system (Latin, Han, …) is
read off the letters of a sample: a language in the wrong script is seen at once, and no model has
to guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from parquill.histogram import Histogram
from parquill.text import script_of

MOST_FIELDS = 40
_MOST_VALUES = 400
"""Different values of a field that are counted; a field with more is free text."""
_LONGEST_VALUE = 40
_SCRIPT_SAMPLE = 200
"""Texts of each batch whose writing system is looked at."""


class FieldFigures:
    """One field of the answers over all rows."""

    __slots__ = ("empty", "filled", "items", "lengths", "name", "numbers", "scripts", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.filled = 0
        self.empty = 0
        self.values: Counter[str] | None = Counter()
        """How often each value occurs; None once there are too many different ones."""
        self.lengths = Histogram()
        """Characters of texts."""
        self.items = Histogram()
        """Items of lists."""
        self.numbers = Histogram()
        self.scripts: Counter[str] = Counter()

    def _count_values(self, column: pa.Array) -> None:
        if self.values is None:
            return
        for entry in pc.value_counts(column.drop_null()).to_pylist():
            self.values[_named(entry["values"])] += entry["counts"]
        if len(self.values) > _MOST_VALUES or any(len(value) > _LONGEST_VALUE for value in self.values):
            self.values = None

    def add_texts(self, column: pa.Array) -> None:
        """Count a column of texts."""
        self._count_values(column)
        self.lengths.add_array(pc.utf8_length(column.drop_null()).to_numpy(zero_copy_only=False))
        for text in column.drop_null()[:_SCRIPT_SAMPLE].to_pylist():
            self.scripts[script_of(text)] += 1

    def add_booleans(self, column: pa.Array) -> None:
        """Count a column of true and false."""
        self._count_values(column)

    def add_numbers(self, column: pa.Array) -> None:
        """Count a column of numbers."""
        self._count_values(column)
        self.numbers.add_array(column.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


class AnswerFigures:
    """All fields of the answers, in the schema's order."""

    def __init__(self) -> None:
        self.fields: dict[str, FieldFigures] = {}

    def add(self, answers: pa.Array) -> None:
        """Count a column of answers; null answers are no answers and do not count."""
        for name, column in _leaves("", answers.drop_null()):
            if name not in self.fields and len(self.fields) >= MOST_FIELDS:
                continue
            figures = self.fields.setdefault(name, FieldFigures(name))
            figures.empty += column.null_count
            figures.filled += len(column) - column.null_count
            _count(figures, column)


def _leaves(name: str, column: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Yield (path, column) of the column and all that it holds; structs themselves are passed over."""
    kind = column.type
    if pa.types.is_struct(kind):
        for at, child in enumerate(column.flatten()):
            yield from _leaves(f"{name}.{kind.field(at).name}".lstrip("."), child)
        return
    yield name or "answer", column
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(f"{name or 'answer'}[]", pc.list_flatten(column))


def _count(figures: FieldFigures, column: pa.Array) -> None:
    kind = column.type
    if pa.types.is_dictionary(kind):
        _count(figures, column.dictionary_decode())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        figures.add_texts(column)
    elif pa.types.is_boolean(kind):
        figures.add_booleans(column)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        figures.add_numbers(column)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        figures.items.add_array(pc.list_value_length(column.drop_null()).to_numpy(zero_copy_only=False))
    elif pa.types.is_temporal(kind):
        figures.add_texts(column.cast(pa.string()))


def _named(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
