"""Rows in order, chunk by chunk.

Parquet is read by `ParquetFile.iter_batches` with `pre_buffer=False`, whose memory stays flat
where a dataset scanner's grows. A chunk holds some megabytes whatever the rows' size; where
chunks end depends on the file and on the columns that are read, and means nothing.
JSON lines and CSV have no index (see `text.py`): they are streamed from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from parquill.errors import ManifestError
from parquill.job import Job
from parquill.manifest.columns import Columns, choose_columns, require, unify
from parquill.manifest.files import Slice, SourceFile, cut, find_files
from parquill.manifest.text import text_batches, text_shape

_CHUNK_BYTES = 16 * 2**20
_CHUNK_ROWS = 8192
_SAMPLE_ROWS = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring rows of one slice; `start` is the first one's place in the slice."""

    slice: Slice
    start: int
    table: pa.Table


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
        return replace(first, table=first.table.slice(0, count))

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
            yield from _chunks_of_slices(its, _read_source(source, self.columns.schema, columns, its))


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
    try:
        if source.suffix == ".parquet":
            with source.storage.open(source.name) as raw:
                file = pq.ParquetFile(raw)
                schema, rows = file.schema_arrow, file.metadata.num_rows
        else:
            schema, rows = text_shape(source, id_column)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(source, error) from None
    for name in source.partitions:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return schema.remove_metadata(), rows


def _unreadable(source: SourceFile, error: Exception) -> ManifestError:
    why = (str(error) or type(error).__name__).splitlines()[0][:200]
    return ManifestError(f"{source.label}: cannot be read as {source.suffix[1:]}: {why}")


def _read_source(
    source: SourceFile, schema: pa.Schema, columns: Sequence[str], slices: Sequence[Slice]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (first row, rows) of one file, at least where its slices need them."""
    try:
        batches = (
            _parquet_batches(source, columns, slices)
            if source.suffix == ".parquet"
            else _numbered(0, text_batches(source, schema, columns))
        )
        for start, batch in batches:
            yield start, _as_schema(batch, source, schema, columns)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(source, error) from None


def _parquet_batches(
    source: SourceFile, columns: Sequence[str], slices: Sequence[Slice]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Row groups that no wanted slice touches are not read."""
    ranges = [(one.start, one.start + one.rows) for one in slices]
    with source.storage.open(source.name) as raw:
        file = pq.ParquetFile(raw, pre_buffer=False)
        present = [name for name in columns if name in file.schema_arrow.names]
        start = 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if rows and any(first < start + rows and last > start for first, last in ranges):
                size = _rows_at_once(file, group, present)
                yield from _numbered(start, file.iter_batches(size, row_groups=[group], columns=present))
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


def _numbered(start: int, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    for batch in batches:
        yield start, batch
        start += batch.num_rows


def _as_schema(batch: pa.RecordBatch, source: SourceFile, schema: pa.Schema, columns: Sequence[str]) -> pa.RecordBatch:
    """Give a file's batch the manifest's columns: partitions by folder, nulls where a file has none."""
    arrays: list[Any] = []
    for name in columns:
        kind = schema.field(name).type
        if name in batch.schema.names:
            array = batch.column(name)
            array.validate(full=True)  # broken UTF-8 would else surface in the middle of the run
            arrays.append(array if array.type.equals(kind) else array.cast(kind))
        elif name in source.partitions:
            arrays.append(pa.repeat(pa.scalar(source.partitions[name], kind), batch.num_rows))
        else:
            arrays.append(_nulls(batch.num_rows, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(name) for name in columns]))


def _nulls(count: int, kind: pa.DataType) -> pa.Array:
    """Nulls that Parquet can hold: `pa.nulls` puts nulls into fields that may have none, too."""
    return pa.array([None] * count, kind) if pt.is_nested(kind) else pa.nulls(count, kind)


def _chunks_of_slices(slices: Sequence[Slice], batches: Iterator[tuple[int, pa.RecordBatch]]) -> Iterator[Chunk]:
    """Cut a file's batches at the bounds of its wanted slices."""
    waiting = list(reversed(slices))
    for start, batch in batches:
        if not waiting:
            return
        end = start + batch.num_rows
        while waiting and waiting[-1].start < end:
            one = waiting[-1]
            first, last = max(start, one.start), min(end, one.start + one.rows)
            if first < last:
                yield Chunk(one, first - one.start, pa.Table.from_batches([batch.slice(first - start, last - first)]))
            if one.start + one.rows > end:
                break
            waiting.pop()
