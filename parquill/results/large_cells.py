"""Finds cells that are larger than any row needs by their lengths alone, before anything is made of them.

A cell of 500 MB takes that much once more with each form that it is given: a value of Python, a prompt, a file.
So it is judged where Arrow holds it, by the offsets; the row gets its error, and what is copied to the output is
copied as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

LARGEST_CELL = 90 * 10**6
"""Bytes of one text or file in a cell: the base64 of a file of 64 MB (`images.max_bytes`), and some."""

Lengths = np.ndarray[Any, np.dtype[np.int64]]


def large_cells(column: pa.ChunkedArray, most: int) -> Mapping[int, int]:
    """Return the cells that hold a text or bytes of more than `most` bytes: their lengths by their places."""
    if column.nbytes <= most:  # as a rule: a chunk holds a few megabytes
        return {}
    lengths = np.concatenate([_longest(chunk) for chunk in column.chunks])
    return {int(place): int(lengths[place]) for place in np.flatnonzero(lengths > most)}


def _longest(array: pa.Array) -> Lengths:
    """The length of the longest text or bytes in each cell, also within lists and structs; 0 of anything else."""
    kind = array.type
    if pt.is_dictionary(kind):
        known = np.append(_longest(array.dictionary), 0)
        by_index: Lengths = known[_numbers(array.indices.cast(pa.int64()), -1)]
        return by_index
    if pt.is_struct(kind) and kind.num_fields:
        fields: Lengths = np.maximum.reduce([_longest(child) for child in array.flatten()])
        return fields
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        counts = _numbers(pc.list_value_length(array).cast(pa.int64()), 0)
        rows = np.repeat(np.arange(len(array)), counts)
        lengths = np.zeros(len(array), np.int64)
        np.maximum.at(lengths, rows, _longest(array.flatten()))
        return lengths
    if pt.is_string_view(kind) or pt.is_binary_view(kind):  # Arrow tells no lengths of these: a view begins with it
        views = np.frombuffer(array.buffers()[1] or b"", np.int32).reshape(-1, 4)
        lengths = views[array.offset : array.offset + len(array), 0].astype(np.int64)
        return np.where(_numbers(array.is_valid().cast(pa.int64()), 0) == 1, lengths, 0)
    if _has_length(kind):
        return _numbers(pc.binary_length(array).cast(pa.int64()), 0)
    return np.zeros(len(array), np.int64)


def _numbers(array: pa.Array, null: int) -> Lengths:
    found: Lengths = array.fill_null(null).to_numpy()
    return found


def _has_length(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind))


def shown_size(size: int) -> str:
    """Say how much a cell holds."""
    return f"{size / 10**6:,.0f} MB"
