"""Rows in order, chunk by chunk.

Parquet is read by `ParquetFile.iter_batches` with `pre_buffer=False`, whose memory stays flat
where a dataset scanner's grows. A chunk holds some megabytes whatever the rows' size, and its
bounds depend on the file alone, so that reading it twice gives the same chunks.
JSON lines and CSV have no index: they are streamed from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from parquill.errors import ManifestError
from parquill.job import Job
from parquill.manifest.columns import Columns, choose_columns, require, unify
from parquill.manifest.files import Slice, SourceFile, cut, find_files

_CHUNK_BYTES = 16 * 2**20
_CHUNK_ROWS = 8192


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

    def require(self, columns: Sequence[str]) -> None:
        """Raise `ManifestError` naming the first file that lacks one of `columns`."""
        require(columns, self.schemas)

    def read(self, columns: Sequence[str], wanted: Collection[str] | None = None) -> Iterator[Chunk]:
        """Yield the rows of the slices whose part is `wanted` (all without it), in order.

        Raises `ManifestError` naming the file that cannot be read.
        """
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
            rows = 0
            schema = pa.schema([])
            # An id like 007 is a name: as a number it would come back as 7.
            known = pa.schema([(id_column, pa.string())] if id_column else [])
            for batch in _text_batches(source, known):
                schema, rows = batch.schema, rows + batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(source, error) from None
    for name in source.partitions:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return schema.remove_metadata(), rows


def _unreadable(source: SourceFile, error: Exception) -> ManifestError:
    return ManifestError(f"{source.label}: cannot be read as {source.suffix[1:]}: {str(error).splitlines()[0][:200]}")


def _text_batches(source: SourceFile, known: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Read JSON lines or CSV; types of columns that are not `known` are inferred from the first rows."""
    with source.storage.open(source.name) as raw:
        if source.suffix == ".csv":
            yield from pyarrow.csv.open_csv(raw, convert_options=pyarrow.csv.ConvertOptions(column_types=known))
        else:
            yield from pyarrow.json.open_json(raw, parse_options=pyarrow.json.ParseOptions(explicit_schema=known))


def _read_source(
    source: SourceFile, schema: pa.Schema, columns: Sequence[str], slices: Sequence[Slice]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (first row, rows) of one file, at least where its slices need them."""
    try:
        batches = (
            _parquet_batches(source, columns, slices)
            if source.suffix == ".parquet"
            else _numbered(0, _text_batches(source, schema))
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
            facts = file.metadata.row_group(group)
            end = start + facts.num_rows
            if facts.num_rows and any(first < end and last > start for first, last in ranges):
                row_bytes = max(1, facts.total_byte_size // facts.num_rows)
                size = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // row_bytes))
                yield from _numbered(start, file.iter_batches(size, row_groups=[group], columns=present))
            start = end


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
            arrays.append(array if array.type.equals(kind) else array.cast(kind))
        elif name in source.partitions:
            arrays.append(pa.repeat(pa.scalar(source.partitions[name], kind), batch.num_rows))
        else:
            arrays.append(pa.nulls(batch.num_rows, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([schema.field(name) for name in columns]))


def _chunks_of_slices(slices: Sequence[Slice], batches: Iterator[tuple[int, pa.RecordBatch]]) -> Iterator[Chunk]:
    """Cut a file's batches at the bounds of its wanted slices."""
    waiting = list(reversed(slices))
    for start, batch in batches:
        end = start + batch.num_rows
        while waiting and waiting[-1].start < end:
            one = waiting[-1]
            first, last = max(start, one.start), min(end, one.start + one.rows)
            if first < last:
                yield Chunk(one, first - one.start, pa.Table.from_batches([batch.slice(first - start, last - first)]))
            if one.start + one.rows > end:
                break
            waiting.pop()
