"""Compares a part of the output with its slice of the manifest, row for row, and lists what does not match."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from parquill.manifest import Slice
from parquill.planning.preparation import Prepared
from parquill.results import LATE_COLUMNS, Status, as_type


def is_older(schema: pa.Schema, wanted: pa.Schema) -> bool:
    """Whether a part lacks only the columns that came later; the next run adds them."""
    lacks = [set(some) for n in range(1, len(LATE_COLUMNS) + 1) for some in itertools.combinations(LATE_COLUMNS, n)]
    return any(schema == pa.schema([field for field in wanted if field.name not in some]) for some in lacks)


def part_faults(opened: Prepared, one: Slice, table: pa.Table, chunks: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield what does not match between a part and its slice of the manifest: the kind of fault, and where."""
    if table.schema != opened.schema and not is_older(table.schema, opened.schema):
        yield "schema", f"{one.part}: its columns are not those this job gives"
        return
    key, kept = opened.manifest.columns.key.name, [field.name for field in opened.manifest.columns.kept]
    wanted = pa.chunked_array([piece for chunk in chunks for piece in opened.manifest.keys(chunk).chunks])
    have = table.column(key)
    if not have.equals(as_type(wanted, have.type)):
        yield from _key_faults(one, wanted.to_pylist(), have.to_pylist())
        return
    for name in kept:
        copied = pa.chunked_array([piece for chunk in chunks for piece in chunk.table.column(name).chunks])
        if not table.column(name).equals(as_type(copied, table.column(name).type)):
            yield "copied column", f"{one.part}: column {name!r} is not as in the manifest"
    prints = table.column("fingerprint").to_pylist()
    states = table.column("status").to_pylist()
    for prepared in (row for chunk in chunks for row in opened.reader.read(chunk)):
        text = prepared.fingerprint.hex() if prepared.fingerprint is not None else None
        if prints[prepared.row] != text and not (
            prints[prepared.row] is None and states[prepared.row] == Status.NOT_ATTEMPTED.value
        ):
            yield "stale row", f"{one.part} row {prepared.row} ({key} {have[prepared.row].as_py()!r})"


def _key_faults(one: Slice, wanted: list[Any], have: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield rows that are missing, repeated, foreign, or in another place."""
    expected, seen = set(wanted), set()
    for key in have:
        if key in seen:
            yield "repeated row", f"{one.part}: {key!r} stands twice"
        elif key not in expected:
            yield "foreign row", f"{one.part}: {key!r} is not in this slice of the manifest"
        seen.add(key)
    for key in wanted:
        if key not in seen:
            yield "missing row", f"{one.part}: {key!r} of {one.source.label} has no row"
    if expected == seen and len(have) == len(wanted):
        yield "order", f"{one.part}: the rows are not in the manifest's order"
