"""Which fingerprints are answered or being asked, at 24 bytes a row.

An open-addressing table over two flat arrays. Python's dict would take five times as much memory, and a
manifest may have ten million rows. The table keeps 64 bits of each fingerprint, so a hit may be a different
fingerprint: the caller compares the whole fingerprint before it uses the entry.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

_SLOTS_PER_ROW = 1.5
_ROW_BITS = 24


class FingerprintIndex:
    """Maps fingerprints to places (slice, row); the first place that claims one keeps it."""

    def __init__(self, rows: int) -> None:
        """`rows`: the most fingerprints that may ever be put in."""
        self._size = max(16, int(rows * _SLOTS_PER_ROW)) | 1
        self._keys = array("Q", bytes(8 * self._size))
        self._places = array("Q", bytes(8 * self._size))
        self._free = rows

    @property
    def is_full(self) -> bool:
        """Whether the table holds as many fingerprints as it was made for."""
        return self._free == 0

    def claim(self, fingerprint: bytes, slice_number: int, row: int) -> tuple[int, int] | None:
        """Put a fingerprint in, or return the (slice, row) that has claimed it before."""
        slot, key = self._find(fingerprint)
        if self._keys[slot]:
            return self._place(slot)
        self._free -= 1
        self._keys[slot] = key
        self._places[slot] = slice_number << _ROW_BITS | row
        return None

    def claim_all(self, fingerprints: Sequence[bytes], slice_number: int, rows: Sequence[int]) -> list[bool]:
        """Claim a slice's rows in their order; returns of each whether its place is, or was already, the first.

        All of them go from slot to slot together: equal ones meet, and the first of them takes the slot.
        """
        held, taken = np.frombuffer(self._keys, np.uint64), np.frombuffer(self._places, np.uint64)
        keys = np.frombuffer(b"".join(fingerprints), "<u8")[::2].astype(np.uint64)
        keys[keys == 0] = 1
        places = np.array(rows, np.uint64) | np.uint64(slice_number << _ROW_BITS)
        slots = (keys % np.uint64(self._size)).astype(np.int64)
        looking = np.arange(len(keys))
        while len(looking):
            at = slots[looking]
            free = looking[held[at] == 0][::-1]  # of several assignments to one slot the last one stands
            held[slots[free]], taken[slots[free]] = keys[free], places[free]
            self._free -= int(np.count_nonzero(taken[slots[free]] == places[free]))
            looking = looking[held[at] != keys[looking]]
            slots[looking] = (slots[looking] + 1) % self._size
        ours: list[bool] = (taken[slots] == places).tolist()
        return ours

    def find(self, fingerprint: bytes) -> tuple[int, int] | None:
        """Return the (slice, row) that has claimed a fingerprint, if any has."""
        slot, _ = self._find(fingerprint)
        return self._place(slot) if self._keys[slot] else None

    def _find(self, fingerprint: bytes) -> tuple[int, int]:
        keys, size = self._keys, self._size
        key = int.from_bytes(fingerprint[:8], "little") or 1
        slot = key % size
        while (held := keys[slot]) and held != key:
            slot += 1
            if slot == size:
                slot = 0
        return slot, key

    def _place(self, slot: int) -> tuple[int, int]:
        place = self._places[slot]
        return place >> _ROW_BITS, place & ((1 << _ROW_BITS) - 1)
