"""A digest of rows of values: it depends on the values and their types, and on nothing else.

The same rows give the same digest whatever chunks they are read in, however the file lays
out its row groups, and whatever lies in memory beneath a null. Each level of a column is
hashed as it comes in streams of its own (which rows are null, how long values are, the values'
bytes), so that no value can be mistaken for another and nothing is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_BYTES = 16


class RowsDigest:
    """Takes tables of one schema, in order."""

    def __init__(self, settings: bytes) -> None:
        """`settings` is mixed in."""
        self._settings = settings
        self._streams: dict[str, Any] = {}

    def add(self, table: pa.Table) -> None:
        """Take the next rows."""
        for name, column in zip(table.schema.names, table.columns, strict=True):
            for chunk in column.chunks:
                self._array(f"{name}:{chunk.type}", chunk)

    def mark(self, name: str, values: Iterable[bytes]) -> None:
        """Take the next values that belong to the rows without standing in them."""
        for value in values:
            self._feed(f"mark:{name}", len(value).to_bytes(8, "little"), value)

    def hexdigest(self) -> str:
        """Return 32 hex digits."""
        whole = hashlib.blake2b(self._settings, digest_size=_BYTES)
        for name in sorted(self._streams):
            whole.update(len(name.encode()).to_bytes(8, "little") + name.encode() + self._streams[name].digest())
        return str(whole.hexdigest())

    def _feed(self, stream: str, *pieces: Any) -> None:
        digest = self._streams.get(stream)
        if digest is None:
            digest = self._streams[stream] = hashlib.blake2b(digest_size=_BYTES)
        for piece in pieces:
            digest.update(piece)

    def _array(self, path: str, array: pa.Array) -> None:
        kind = array.type
        if pt.is_dictionary(kind):
            array = array.dictionary_decode()
            kind = array.type
        self._feed(f"{path}?", _memory(array.is_valid().cast(pa.uint8())))
        if pt.is_nested(kind) and _holds_views(kind):  # pyarrow cannot take lists of them apart
            self._values(path, array)
            return
        if pt.is_struct(kind):
            for field, child in zip(kind, array.flatten(), strict=True):
                self._array(f"{path}.{field.name}", child)
            return
        values = (array.cast(pa.large_binary()) if _is_bytes(kind) else array).drop_null()
        if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_list_view(kind) or pt.is_large_list_view(kind):
            self._feed(f"{path}#", _memory(pc.list_value_length(values).cast(pa.int64())))
            self._array(f"{path}[]", values.flatten())
        elif pt.is_fixed_size_list(kind):
            self._array(f"{path}[]", values.flatten())
        elif _is_bytes(kind):
            self._texts(path, values)
        elif pt.is_boolean(kind):
            self._feed(path, _memory(values.cast(pa.uint8())))
        elif pt.is_primitive(kind) or pt.is_decimal(kind) or pt.is_fixed_size_binary(kind):
            self._feed(path, _memory(values))
        elif not pt.is_null(kind):
            self._values(path, values)

    def _values(self, path: str, array: pa.Array) -> None:
        try:
            values = [repr(value).encode() for value in array.to_pylist() if value is not None]
        except Exception:  # one of them Python cannot hold
            values = [_written(array, place) for place in range(len(array)) if array[place].is_valid]
        self._texts(path, pa.array(values, pa.large_binary()))

    def _texts(self, path: str, values: pa.Array) -> None:
        _, offsets, data = values.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(values) + 1, values.offset * 8)
        self._feed(f"{path}#", np.diff(bounds))
        if data is not None:
            self._feed(path, data[int(bounds[0]) : int(bounds[-1])])


def _written(array: pa.Array, place: int) -> bytes:
    """One value as Arrow writes it to a file."""
    batch = pa.record_batch([array.slice(place, 1)], ["value"])
    return bytes(batch.serialize())


def _memory(values: pa.Array) -> Any:
    """The values' bytes where they lie. `to_numpy` would give the same, and import pandas for it: half a second."""
    width, data = values.type.bit_width // 8, values.buffers()[1]
    return b"" if data is None else data[values.offset * width : (values.offset + len(values)) * width]


def _holds_views(kind: pa.DataType) -> bool:
    if pt.is_nested(kind):
        return any(_holds_views(kind.field(at).type) for at in range(kind.num_fields))
    return bool(pt.is_string_view(kind) or pt.is_binary_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    texts = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    return bool(texts or pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind))
