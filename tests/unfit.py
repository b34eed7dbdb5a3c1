"""Columns of Parquet that hold one value which does not fit: its type, or Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

TEXTS = [b"a good text", b"a broken \xff\xfe text", b"another"]


def _texts(values: list[bytes]) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def _wholes(kind: pa.DataType, value: int, storage: pa.DataType) -> Callable[[], pa.Array]:
    return lambda: pa.array([0, value, 1], storage).view(kind)


def _in_lists() -> pa.Array:
    return pa.ListArray.from_arrays([0, 1, 2, 3], _texts(TEXTS))


def _in_structs() -> pa.Array:
    return pa.StructArray.from_arrays([_texts(TEXTS), pa.array([1, 2, 3])], names=["said", "number"])


def _in_dictionary() -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), _texts(TEXTS))


UNFIT: dict[str, Callable[[], pa.Array]] = {
    "text": lambda: _texts(TEXTS),
    "large text": lambda: pa.array(TEXTS, pa.large_binary()).view(pa.large_string()),
    "text in a list": _in_lists,
    "text in a struct": _in_structs,
    "text in a dictionary": _in_dictionary,
    "time of day": _wholes(pa.time32("ms"), 10**9, pa.int32()),
    "year 10000": _wholes(pa.timestamp("us"), 253402300800 * 10**6, pa.int64()),
    "day": _wholes(pa.date32(), 2**31 - 1, pa.int32()),
    "length of time": _wholes(pa.duration("s"), 2**62, pa.int64()),
}
"""By name: three rows of which the one in the middle cannot be used."""


def column(name: str) -> Any:
    return UNFIT[name]()
