"""JSON lines and CSV: rows without an index and with few types, so a file is read whole to learn both.

Types are those that every row of the file allows, not only its first ones. A JSON value keeps
its kind (a text that looks like a date stays a text); integers among fractions become doubles.
A CSV column is int64 or double where each value is written as such a number would be (007 is
a name), else text; the id column is always text; an empty cell without quotes is null.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from parquill.errors import ManifestError
from parquill.manifest.files import SourceFile
from parquill.manifest.long_lines import LEFT_OUT, lines
from parquill.manifest.unfit import NOT_UTF8
from parquill.results import LARGEST_CELL
from parquill.threads import stop_point

_CHUNK_BYTES = 8 * 2**20
_CHUNK_ROWS = 4096
_LONGEST_CSV_ROW = 16 * 2**20
"""Bytes; the reader's block must hold a row whole, and rows may hold data: URLs."""

_CSV_KINDS = (
    (pa.int64(), r"^(0|-?[1-9]\d{0,17})$"),
    (pa.float64(), r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][-+]?\d+)?$"),
)
"""Longer whole numbers are names, too: a double would change their last digits."""


def text_shape(source: SourceFile, id_column: str | None) -> tuple[pa.Schema, int]:
    """Return a file's schema and its number of rows. Raises `ManifestError`, or what Arrow raises."""
    return _csv_shape(source, id_column) if source.suffix == ".csv" else _json_shape(source)


Unfit = dict[str, dict[int, str]]
"""What is wrong with values that were replaced, by column and by place among the rows."""


def text_batches(
    source: SourceFile, schema: pa.Schema, columns: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, Unfit]]:
    """Yield a file's rows in order: those of `columns` that it has, as `schema` types them."""
    if source.suffix == ".csv":
        return ((batch, {}) for batch in _csv_batches(source, schema, columns))
    return _json_batches(source, schema, columns)


def _json_shape(source: SourceFile) -> tuple[pa.Schema, int]:
    schema, total = pa.schema([]), 0
    for rows, _ in _json_rows(source):
        stop_point()
        total += len(rows)
        names = dict.fromkeys(name for row in rows for name in row)
        found = pa.schema([(name, _json_array(source, rows, name, None).type) for name in names])
        try:
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        except pa.ArrowTypeError as error:
            raise ManifestError(f"{source.label}: rows do not agree: {error}") from None
    return schema, total


def _json_batches(
    source: SourceFile, schema: pa.Schema, columns: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, Unfit]]:
    for rows, unfit in _json_rows(source):
        names = [name for name in columns if any(name in row for row in rows)]
        arrays = [_json_array(source, rows, name, schema.field(name).type) for name in names]
        bare = pa.array([{}] * len(rows), pa.struct([]))  # counts the rows where no column is asked for
        batch = pa.RecordBatch.from_arrays(arrays, names) if names else pa.RecordBatch.from_struct_array(bare)
        yield batch, unfit


def _json_rows(source: SourceFile) -> Iterator[tuple[list[dict[str, Any]], Unfit]]:
    rows: list[dict[str, Any]] = []
    unfit: Unfit = {}
    size = 0
    with source.storage.open(source.name) as raw:
        for number, line in enumerate(lines(io.BufferedReader(raw), source.label), start=1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if text:
                row, faults = _json_object(source, number, text)
                for name, why in faults.items():
                    unfit.setdefault(name, {})[len(rows)] = why
                rows.append(row)
                size += len(line)
            if len(rows) == _CHUNK_ROWS or size > _CHUNK_BYTES:
                yield rows, unfit
                rows, unfit, size = [], {}, 0
    if rows:
        yield rows, unfit


def _json_object(source: SourceFile, number: int, text: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a line's object, and by name what is wrong with its values.

    U+FFFD stands for what is no UTF-8; a value that holds a text too large for any row is null.
    """
    faults: dict[str, str] = {}
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            row = orjson.loads(_LONE.sub(_replaced, text.decode("utf-8", "replace")))
        except orjson.JSONDecodeError:
            said = f"{source.label}:{number}:{error.colno}: not valid JSON: {error.msg}"
            raise ManifestError(said) from None
        if isinstance(row, dict):
            faults = {name: NOT_UTF8 for name, value in row.items() if "\ufffd" in str(value)}
    if not isinstance(row, dict):
        raise ManifestError(f'{source.label}:{number}: each line is one JSON object, like {{"id": 1}}')
    if LEFT_OUT.encode() in text:
        large = [name for name, value in row.items() if LEFT_OUT in str(value)]
        if LEFT_OUT in row:
            raise ManifestError(f"{source.label}:{number}: the name of a column is {_TOO_LARGE}")
        row, faults = {**row, **dict.fromkeys(large)}, {**faults, **dict.fromkeys(large, _TOO_LARGE)}
    return row, faults


_TOO_LARGE = f"a text of more than {LARGEST_CELL // 10**6} MB"
_HEX = "[0-9a-fA-F]"
_LONE = re.compile(rf"(\\\\|\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})|\\u[dD][89a-fA-F]{_HEX}{{2}}")
"""Half of a surrogate pair; what may not be taken for one (a pair, an escaped backslash) is the group."""


def _replaced(found: re.Match[str]) -> str:
    return found[1] or "\ufffd"


def _json_array(source: SourceFile, rows: Sequence[Mapping[str, Any]], name: str, kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array([row.get(name) for row in rows], kind)
    except (pa.ArrowException, OverflowError) as error:
        raise ManifestError(f"{source.label}: column {name!r}: rows do not agree: {error}") from None


def _csv_shape(source: SourceFile, id_column: str | None) -> tuple[pa.Schema, int]:
    """Read every value as text first: what fits all of them is the column's type."""
    with _csv_reader(source) as first:
        names = list(first.schema.names)
    fits = {name: [] if name == id_column else list(_CSV_KINDS) for name in names}
    empty = set(names) - {id_column}
    total = 0
    with _csv_reader(source, dict.fromkeys(names, pa.string())) as reader:
        for batch in reader:
            stop_point()
            total += batch.num_rows
            for name, values in zip(names, batch.columns, strict=True):
                fits[name] = [(kind, form) for kind, form in fits[name] if _all_match(values, form)]
                empty -= {name} if values.null_count < len(values) else set()
    kinds = [pa.null() if name in empty else fits[name][0][0] if fits[name] else pa.string() for name in names]
    return pa.schema(list(zip(names, kinds, strict=True))), total


def _csv_batches(source: SourceFile, schema: pa.Schema, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _csv_reader(source) as first:
        names = list(first.schema.names)
    wanted = [name for name in columns if name in names] or names[:1]
    with _csv_reader(source, {name: schema.field(name).type for name in wanted}, wanted) as reader:
        for batch in reader:
            rows = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES * batch.num_rows // max(1, batch.nbytes)))
            yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


@contextlib.contextmanager
def _csv_reader(
    source: SourceFile, kinds: Mapping[str, pa.DataType] | None = None, wanted: Sequence[str] = ()
) -> Iterator[Any]:
    convert = pyarrow.csv.ConvertOptions(
        column_types=kinds or {},
        include_columns=list(wanted),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        check_utf8=False,  # one row's broken text is that row's error: `unfit.py`
    )
    with (
        source.storage.open(source.name) as raw,
        pyarrow.csv.open_csv(
            raw,
            read_options=pyarrow.csv.ReadOptions(block_size=_LONGEST_CSV_ROW),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=convert,
        ) as reader,
    ):
        yield reader


def _all_match(values: pa.Array, form: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, form), min_count=0).as_py())
