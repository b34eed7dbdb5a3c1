"""Values of the storage package about files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file in a folder: its name relative to the folder, with `/` between the steps."""

    name: str
    size: int
    modified_us: int | None
    """Microseconds since 1970 UTC; None where the store does not say."""


class ByteSink(Protocol):
    """What a file is written to."""

    def write(self, data: Any, /) -> int:
        """Write bytes, and return how many."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of known size that can be read once; both methods of its reader may block."""

    size: int
    _reader: Callable[[], Any]

    def read(self) -> bytes:
        """Return at most `size` bytes."""
        with self._reader() as file:
            return bytes(file.read(self.size))


@dataclass(frozen=True, slots=True)
class Written:
    """What a whole write left: the file's length and the SHA-256 of its content, in hex."""

    bytes: int
    sha256: str
