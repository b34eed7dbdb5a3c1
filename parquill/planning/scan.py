"""One pass over the manifest before anything is sent: digests of slices, and the ids.

A slice's digest covers every value that its part depends on. If it equals the digest in the part's footer, no
row of the slice is looked at again, so a million finished rows are planned in seconds.

Ids are compared by 64-bit hashes (8 bytes a row). Rows with equal hashes are read once more and compared in full.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parquill.errors import ManifestError
from parquill.manifest import Chunk, Manifest, RowsDigest, places_in

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
    ids = _Ids(manifest) if manifest.columns.has_id else None
    pictures = (*manifest.columns.images, *manifest.columns.documents)
    digests: dict[str, str] = {}
    for part, chunks in itertools.groupby(manifest.read(columns), key=lambda chunk: chunk.slice.part):
        digest = RowsDigest(settings)
        for chunk in chunks:
            digest.add(chunk.table)
            for name, faults in sorted(chunk.unfit.items()):  # none, as a rule
                digest.mark(f"unfit:{name}", (f"{chunk.start + place}".encode() for place in sorted(faults)))
            for name in pictures:
                digest.mark(name, map(stamp, places_in(chunk.table.column(name))))
            if ids is not None:
                ids.take(chunk)
        digests[part] = digest.hexdigest()
    if ids is not None:
        ids.refuse_unfit()
    return Scan(digests)


class _Ids:
    """The id column as it is read: hashes of its values, and where it is null."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._name = manifest.columns.key.name
        self._hashes = np.empty(manifest.rows, np.int64)
        self._nulls: list[int] = []
        self._null_count = 0
        self._unfit: list[tuple[int, str]] = []
        self._unfit_count = 0

    def take(self, chunk: Chunk) -> None:
        ids = chunk.table.column(self._name)
        first = chunk.slice.position + chunk.start
        values, faults = chunk.cells(self._name)
        self._hashes[first : first + len(ids)] = np.fromiter(map(hash, values), np.int64, len(ids))
        if faults:
            self._unfit_count += len(faults)
            shown = sorted(faults.items())[: _SHOWN - len(self._unfit)]
            self._unfit += [(first + place, why) for place, why in shown]
        if ids.null_count:
            self._null_count += ids.null_count
            places = np.flatnonzero(ids.is_null().to_numpy())[: _SHOWN - len(self._nulls)]
            self._nulls += [first + int(place) for place in places]

    def refuse_unfit(self) -> None:
        """Raise `ManifestError` for ids that are null, cannot be read or stand more than once."""
        if self._nulls:
            places = "; ".join(map(self._place, self._nulls))
            raise self._fault(f"is null in {places}{_more(self._null_count - len(self._nulls))}")
        if self._unfit:
            places = "; ".join(f"{why} in {self._place(position)}" for position, why in self._unfit)
            raise self._fault(f"holds {places}{_more(self._unfit_count - len(self._unfit))}")
        self._hashes.sort()
        suspects = set(self._hashes[1:][self._hashes[1:] == self._hashes[:-1]].tolist())
        repeated = {value: rows for value, rows in self._rows_of(suspects).items() if len(rows) > 1}
        if repeated:
            shown = "; ".join(
                f"{value!r} in {', '.join(map(self._place, rows[:3]))}"
                for value, rows in itertools.islice(repeated.items(), _SHOWN)
            )
            raise self._fault(f"repeats {shown}{_more(len(repeated) - _SHOWN)}")

    def _rows_of(self, suspects: set[int]) -> Mapping[Any, Sequence[int]]:
        """The first rows of each value whose hash is among the suspects."""
        rows: dict[Any, list[int]] = {}
        for chunk in self._manifest.read((self._name,)) if suspects else ():
            first = chunk.slice.position + chunk.start
            for place, value in enumerate(chunk.table.column(self._name).to_pylist()):
                if hash(value) in suspects and len(known := rows.setdefault(value, [])) < 3:
                    known.append(first + place)
        return rows

    def _place(self, position: int) -> str:
        """Name a row by its file and its number there, counted from 0 as `row` is."""
        slices = self._manifest.slices
        one = slices[bisect.bisect_right(slices, position, key=lambda each: each.position) - 1]
        return f"{one.source.label} row {one.start + position - one.position}"

    def _fault(self, what: str) -> ManifestError:
        return ManifestError(f"manifest.id_column: {self._name!r} {what}: every row needs an id of its own")


def _more(count: int) -> str:
    return f" (and {count:,} more)" if count > 0 else ""
