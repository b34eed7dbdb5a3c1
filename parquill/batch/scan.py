"""One pass over the manifest before anything is sent: digests of slices, and the ids.

A slice's digest covers every value that its part depends on: if it equals the one in the
part's footer, no row of the slice needs to be looked at again. That is what lets a million
finished rows be planned in seconds.

Ids are compared by 64-bit hashes (8 bytes a row); only rows whose hashes are equal are read
once more and compared in full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from parquill.errors import ManifestError
from parquill.manifest import Chunk, Manifest, Slice

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass found: the digest of each slice by its part's name."""

    digests: Mapping[str, str]


def scan(manifest: Manifest, columns: Sequence[str], *, settings: bytes, stamp: Callable[[str], bytes]) -> Scan:
    """Read `columns` of every row once; `settings` is mixed into each digest.

    `stamp` names the state of a local picture: its size and time count too. Raises
    `ManifestError` for null or repeated ids, with the first ten values and their rows.
    """
    hashes: list[np.ndarray] = []
    digests: dict[str, Any] = {}
    pictures = (*manifest.columns.images, *manifest.columns.documents)
    nulls: list[int] = []
    for chunk in manifest.read(columns):
        digest = digests.get(chunk.slice.part)
        if digest is None:
            digest = digests[chunk.slice.part] = hashlib.blake2b(settings, digest_size=16)
        digest.update(_ipc(chunk.table))
        for name in pictures:
            digest.update(_stamps(chunk.table.column(name), stamp))
        if manifest.columns.has_id:
            ids = chunk.table.column(manifest.columns.key.name)
            nulls += _null_rows(chunk, ids) if ids.null_count and len(nulls) < _SHOWN else []
            hashes.append(np.fromiter(map(hash, ids.to_pylist()), np.int64, len(ids)))
    if nulls:
        raise ManifestError(_null_message(manifest, nulls))
    if hashes:
        _refuse_repeated(manifest, np.concatenate(hashes))
    return Scan({name: digest.hexdigest() for name, digest in digests.items()})


def _ipc(table: pa.Table) -> pa.Buffer:
    """The chunk's values as bytes: equal for equal values, wherever their buffers begin."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()


def _stamps(column: pa.ChunkedArray, stamp: Callable[[str], bytes]) -> bytes:
    """The state of the local files that a column of pictures names."""
    return b"|".join(stamp(text) for text in _texts(column))


def _texts(column: pa.ChunkedArray) -> Iterator[str]:
    """Every string in a column of strings, of structs with a path, or of lists of these."""
    kind = column.type
    if pt.is_dictionary(kind):
        yield from _texts(column.cast(kind.value_type))
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        yield from _texts(pa.chunked_array(pc.list_flatten(column)))
    elif pt.is_struct(kind):
        if kind.get_field_index("path") >= 0:
            yield from _texts(pc.struct_field(column, "path"))
    elif pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        elsewhere = pc.match_substring_regex(column.cast(pa.large_string()), r"^(https?:|data:)", ignore_case=True)
        yield from (text for text in column.filter(pc.invert(elsewhere)).to_pylist() if text is not None)


def _null_rows(chunk: Chunk, ids: pa.ChunkedArray) -> list[int]:
    first = chunk.slice.position + chunk.start
    return [first + int(place) for place in np.flatnonzero(ids.is_null().to_numpy())[:_SHOWN]]


def _null_message(manifest: Manifest, rows: Sequence[int]) -> str:
    places = "; ".join(_place(manifest, row) for row in rows[:_SHOWN])
    return f"manifest.id_column: {manifest.columns.key.name!r} is null in {places}: every row needs an id of its own"


def _refuse_repeated(manifest: Manifest, hashes: np.ndarray) -> None:
    order = np.sort(hashes)
    suspects = set(order[1:][order[1:] == order[:-1]].tolist())
    if not suspects:
        return
    seen: dict[Any, list[int]] = {}
    name = manifest.columns.key.name
    for chunk in manifest.read((name,)):
        first = chunk.slice.position + chunk.start
        for place, value in enumerate(chunk.table.column(name).to_pylist()):
            if hash(value) in suspects:
                seen.setdefault(value, []).append(first + place)
    repeated = {value: rows for value, rows in seen.items() if len(rows) > 1}
    if repeated:
        shown = "; ".join(
            f"{value!r} in {', '.join(_place(manifest, row) for row in rows[:3])}"
            for value, rows in list(repeated.items())[:_SHOWN]
        )
        more = f" (and {len(repeated) - _SHOWN:,} more)" if len(repeated) > _SHOWN else ""
        raise ManifestError(f"manifest.id_column: {name!r} repeats {shown}{more}: every row needs an id of its own")


def _place(manifest: Manifest, position: int) -> str:
    """Name a row by its file and its number there, counted from 0 as `row` is."""
    one = _slice_at(manifest.slices, position)
    return f"{one.source.label} row {one.start + position - one.position}"


def _slice_at(slices: Sequence[Slice], position: int) -> Slice:
    low, high = 0, len(slices)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if slices[middle].position <= position else (low, middle)
    return slices[low]
