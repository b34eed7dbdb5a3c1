"""Values that do not fit their own type: each is found and replaced, and its row says so.

A file may hold a text that is not UTF-8, a time of day beyond midnight, a decimal with too many digits. Arrow
refuses the whole column for one of them. Here a text keeps what can be read of it (U+FFFD stands for the rest),
any other value becomes null. What is copied to the output is valid then; a row that is asked with such a
value is that row's error (`bad_row`), as `Chunk.cells` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.types as pt

NOT_UTF8 = "a text that is not UTF-8"


def with_fit_values(array: pa.Array) -> tuple[pa.Array, Mapping[int, str]]:
    """Return an array whose values all fit its type.

    Returns:
        The array itself where they do, and by place what is wrong with those that were replaced.

    Raises:
        pa.ArrowException: the array is broken as a whole.
    """
    try:
        array.validate(full=True)
    except Exception:  # whatever the library raises: which values it is about is found below
        pa.array([], array.type).validate(full=True)  # raises where it is about none: the column cannot be read
        return _fit(array.dictionary_decode() if pt.is_dictionary(array.type) else array)
    return array, {}


def _fit(array: pa.Array) -> tuple[pa.Array, Mapping[int, str]]:
    faults = {place: _fault(array.type) for place in _unfit(array, 0, len(array))}
    pieces, start = [], 0
    for place in faults:
        pieces += [array.slice(start, place - start), _replaced(array.slice(place, 1))]
        start = place + 1
    fit = pa.concat_arrays([*pieces, array.slice(start)])
    fit.validate(full=True)
    return fit, faults


def _unfit(array: pa.Array, start: int, end: int) -> Iterator[int]:
    """Yield the places of values that do not fit, by halves: most parts of an array fit."""
    try:
        array.take(pa.array(range(start, end), pa.int64())).validate(full=True)  # a slice drags its children along
    except Exception:
        if end - start == 1:
            yield start
        else:
            middle = (start + end) // 2
            yield from _unfit(array, start, middle)
            yield from _unfit(array, middle, end)


def _fault(kind: pa.DataType) -> str:
    return NOT_UTF8 if kind in _AS_BYTES else f"a value that is no {kind}"


_AS_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}


def _replaced(one: pa.Array) -> pa.Array:
    as_bytes = _AS_BYTES.get(one.type)
    if as_bytes is None:
        return pa.array([None], one.type)
    return pa.array([one.view(as_bytes)[0].as_py().decode("utf-8", "replace")], one.type)
