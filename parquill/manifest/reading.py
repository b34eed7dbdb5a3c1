"""Reads rows in order, chunk by chunk.

Parquet is read by `ParquetFile.iter_batches` with `pre_buffer=False`, whose memory stays flat
where a dataset scanner's grows. A chunk holds some megabytes whatever the rows' size; where
chunks end depends on the file and on the columns that are read, and means nothing.
JSON lines and CSV have no index (see `text.py`): they are streamed from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from parquill.errors import ManifestError, ParquillError
from parquill.job import Job
from parquill.manifest.columns import Columns, choose_columns, require, unify
from parquill.manifest.files import Slice, SourceFile, cut, find_files
from parquill.manifest.text import text_batches, text_shape
from parquill.manifest.unfit import with_fit_values
from parquill.results import LARGEST_CELL, large_cells, python_values, shown_size
from parquill.threads import stop_point

_CHUNK_BYTES = 16 * 2**20
_CHUNK_ROWS = 8192
_SAMPLE_ROWS = 64
_READ_BYTES = 2**20
"""Of a column at a time: without a bound each column's part of a row group is held whole."""


Unfit = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring rows of one slice; `start` is the first one's place in the slice."""

    slice: Slice
    start: int
    table: pa.Table
    unfit: Unfit = field(default_factory=dict)
    """What does not fit its column's type, by column and place; in `table` it is replaced (`unfit.py`)."""

    def cells(self, name: str, most: int = LARGEST_CELL) -> tuple[list[Any], Mapping[int, str]]:
        """Return a column's values for Python, and by place what is wrong with those that cannot be used.

        A text or bytes of more than `most` bytes is such a value: nothing is made of it.
        """
        column = self.table.column(name)
        large = large_cells(column, most)
        values, faults = python_values(column, large)
        told = {
            place: f"{shown_size(size)}, more than the {shown_size(most)} of a cell" for place, size in large.items()
        }
        return values, {**faults, **told, **self.unfit.get(name, {})}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that has been found and whose columns will do."""

    columns: Columns
    slices: tuple[Slice, ...]
    rows: int
    schemas: Mapping[SourceFile, pa.Schema]
    folder: str
    """Where its files lie: the root of local picture paths unless the job names one."""

    def keys(self, chunk: Chunk) -> pa.ChunkedArray:
        """Return the key column of a chunk: the id, or the row's position in the manifest."""
        if self.columns.has_id:
            return chunk.table.column(self.columns.key.name)
        first = chunk.slice.position + chunk.start
        return pa.chunked_array([pa.array(np.arange(first, first + chunk.table.num_rows), pa.int64())])

    def only(self, parts: Collection[str]) -> Manifest:
        """Return a manifest of the slices whose part is named, with positions of its own."""
        slices: list[Slice] = []
        position = 0
        for one in self.slices:
            if one.part in parts:
                slices.append(replace(one, position=position))
                position += one.rows
        return replace(self, slices=tuple(slices), rows=position)

    def require(self, columns: Sequence[str]) -> None:
        """Raise `ManifestError` naming the first file that lacks one of `columns`."""
        require(columns, self.schemas)

    def first_rows(self, columns: Sequence[str], count: int) -> Chunk:
        """Return `count` rows at most, the first; raises `ManifestError` where they cannot be read."""
        first = next(self.read(columns, {self.slices[0].part}))
        return replace(first, table=first.table.slice(0, count), unfit=_between(first.unfit, 0, count))

    def read(self, columns: Sequence[str], wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        """Yield the rows of the slices whose part is `wanted` (all without it), in order.

        Raises `ManifestError` naming the file that cannot be read.
        """
        columns = tuple(columns) or self.columns.schema.names[:1]  # without a column there would be no rows
        slices = [one for one in self.slices if wanted is None or one.part in wanted]
        by_source: dict[SourceFile, list[Slice]] = {}
        for one in slices:
            by_source.setdefault(one.source, []).append(one)
        for source, its in by_source.items():
            for chunk in _chunks_of_slices(its, _read_source(source, self.columns.schema, columns, its)):
                stop_point()
                yield chunk


def open_manifest(job: Job) -> Manifest:
    """Find the manifest's files, check their columns and cut them into slices.

    Raises `ManifestError` for what cannot be used. Ids are checked by `plan`, which reads them.
    """
    files = find_files(job.manifest.path, outside=job.output.path)
    shapes = {source: _shape(source, job.manifest.id_column) for source in files}
    schemas = {source: schema for source, (schema, _) in shapes.items()}
    columns = choose_columns(job.manifest, unify(schemas))
    require([*([columns.key.name] if columns.has_id else []), *columns.images, *columns.documents], schemas)
    slices: list[Slice] = []
    position = 0
    for source, (_, rows) in shapes.items():
        slices += cut(source, rows, job.output.rows_per_part, position)
        position += rows
    if position == 0:
        raise ManifestError(f"{job.manifest.path}: the manifest is empty: it has no rows")
    return Manifest(columns, tuple(slices), position, schemas, files[0].storage.label)


def _shape(source: SourceFile, id_column: str | None) -> tuple[pa.Schema, int]:
    """Return a file's schema (with its partition columns) and its number of rows."""
    stop_point()
    try:
        if source.suffix == ".parquet":
            with source.storage.open(source.name) as raw:
                file = pq.ParquetFile(raw)
                schema, rows = file.schema_arrow, file.metadata.num_rows
        else:
            schema, rows = text_shape(source, id_column)
    except ParquillError:
        raise
    except Exception as error:  # a file may hold anything: names that are no text, types that no reader knows
        raise _unreadable(source, error) from None
    for name in source.partitions:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return schema.remove_metadata(), rows


def _unreadable(source: SourceFile, error: Exception) -> ManifestError:
    told = str(error).splitlines() if isinstance(error, (pa.ArrowException, OSError)) else []
    if isinstance(error, UnicodeError):
        told = ["the name of a column is not UTF-8"]
    why = next(iter(told), f"unexpected {type(error).__name__}")[:200]
    if source.suffix == ".csv" and "straddling object" in why:
        why = "a row is longer than 16 MB: write such cells as Parquet or JSON lines"
    return ManifestError(f"{source.label}: cannot be read as {source.suffix[1:]}: {why}")


def _read_source(
    source: SourceFile, schema: pa.Schema, columns: Sequence[str], slices: Sequence[Slice]
) -> Iterator[_Rows]:
    """Yield the rows of one file, at least where its slices need them."""
    try:
        batches = (
            _parquet_batches(source, columns, slices)
            if source.suffix == ".parquet"
            else _numbered(0, text_batches(source, schema, columns))
        )
        for rows in batches:
            stop_point()
            yield _as_schema(rows, source, schema, columns)
    except ParquillError:
        raise
    except Exception as error:
        raise _unreadable(source, error) from None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Neighbouring rows of a file, the first of them at `start`."""

    start: int
    batch: pa.RecordBatch
    unfit: Unfit


def _parquet_batches(source: SourceFile, columns: Sequence[str], slices: Sequence[Slice]) -> Iterator[_Rows]:
    """Row groups that no wanted slice touches are not read."""
    ranges = [(one.start, one.start + one.rows) for one in slices]
    with source.storage.open(source.name) as raw:
        file = pq.ParquetFile(raw, pre_buffer=False, buffer_size=_READ_BYTES)
        present = [name for name in columns if name in file.schema_arrow.names]
        start = 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if rows and any(first < start + rows and last > start for first, last in ranges):
                size = _rows_at_once(file, group, present)
                batches = file.iter_batches(size, row_groups=[group], columns=present)
                yield from _numbered(start, ((batch, {}) for batch in batches))
            start += rows


def _rows_at_once(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> int:
    """How many rows of a row group fill a chunk, by its footer, or by a look where that says too little.

    A text that stands in every row is stored once, and takes its full length in each row read.
    """
    facts = file.metadata.row_group(group)
    stored = [facts.column(index) for index in range(facts.num_columns)]
    read = [column for column in stored if column.path_in_schema.split(".")[0] in columns]
    size = _fitting(sum(column.total_uncompressed_size for column in read), facts.num_rows)
    if not any(column.has_dictionary_page for column in read):
        return size
    sample = next(file.iter_batches(min(size, _SAMPLE_ROWS), row_groups=[group], columns=columns))
    return min(size, _fitting(sample.nbytes, sample.num_rows))


def _fitting(size: int, rows: int) -> int:
    return max(1, min(_CHUNK_ROWS, _CHUNK_BYTES * rows // max(1, size)))


def _numbered(start: int, batches: Iterator[tuple[pa.RecordBatch, Unfit]]) -> Iterator[_Rows]:
    for batch, unfit in batches:
        yield _Rows(start, batch, unfit)
        start += batch.num_rows


def _as_schema(rows: _Rows, source: SourceFile, schema: pa.Schema, columns: Sequence[str]) -> _Rows:
    """Give a file's rows the manifest's columns: partitions by folder, nulls where a file has none."""
    arrays: list[Any] = []
    batch, unfit = rows.batch, dict(rows.unfit)
    for name in columns:
        kind = schema.field(name).type
        if name in batch.schema.names:
            array, faults = with_fit_values(batch.column(name))  # they would else surface in the middle of the run
            if faults:
                unfit[name] = {**faults, **unfit.get(name, {})}
            arrays.append(array if array.type.equals(kind) else array.cast(kind))
        elif name in source.partitions:
            arrays.append(pa.repeat(pa.scalar(source.partitions[name], kind), batch.num_rows))
        else:
            arrays.append(_nulls(batch.num_rows, kind))
    made = pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(name) for name in columns]))
    return _Rows(rows.start, made, unfit)


def _nulls(count: int, kind: pa.DataType) -> pa.Array:
    """Nulls that Parquet can hold: `pa.nulls` puts nulls into fields that may have none, too."""
    return pa.array([None] * count, kind) if pt.is_nested(kind) else pa.nulls(count, kind)


def _chunks_of_slices(slices: Sequence[Slice], batches: Iterator[_Rows]) -> Iterator[Chunk]:
    """Cut a file's batches at the bounds of its wanted slices."""
    waiting = list(reversed(slices))
    for rows in batches:
        if not waiting:
            return
        start, end = rows.start, rows.start + rows.batch.num_rows
        while waiting and waiting[-1].start < end:
            one = waiting[-1]
            first, last = max(start, one.start), min(end, one.start + one.rows)
            if first < last:
                table = pa.Table.from_batches([rows.batch.slice(first - start, last - first)])
                yield Chunk(one, first - one.start, table, _between(rows.unfit, first - start, last - start))
            if one.start + one.rows > end:
                break
            waiting.pop()


def _between(unfit: Unfit, first: int, last: int) -> Unfit:
    """Return the notices about some of the rows, their positions counted from the first of them."""
    if not unfit:
        return unfit
    return {
        name: {place - first: why for place, why in faults.items() if first <= place < last}
        for name, faults in unfit.items()
    }
