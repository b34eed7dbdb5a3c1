"""Reads the lines of a JSON lines file; a text in one that is larger than any row needs is left out while it is read.

A line of 500 MB would stand in memory as bytes, as a text of Python and as a value of Arrow. So a long line is read
piece by piece, and where a string is longer than a cell may be, a mark stands in its place. The mark is made at
random when the process starts: no file can hold it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from parquill.errors import ManifestError
from parquill.results import LARGEST_CELL

LEFT_OUT = secrets.token_hex(16)
"""What stands in place of a string that was left out."""
_PIECE = 2**20
_MOST_OF_A_LINE = 4 * LARGEST_CELL
"""Bytes of a line, without what is left out of it."""
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OUTSIDE = re.compile(rb'[^"]*+')


def lines(raw: BinaryIO, label: str, most: int = LARGEST_CELL) -> Iterator[bytes]:
    """Yield a file's lines, each with `LEFT_OUT` in place of strings of more than `most` bytes.

    Raises:
        ManifestError: a line is too long without its long strings.
    """
    number = 0
    while piece := raw.readline(_PIECE):
        number += 1
        if piece.endswith(b"\n") or len(piece) < _PIECE:
            yield piece
            continue
        line = _Line(most)
        while piece:
            if line.take(piece) > _MOST_OF_A_LINE:
                raise ManifestError(f"{label}:{number}: the line is longer than {_MOST_OF_A_LINE // 10**6} MB")
            piece = b"" if piece.endswith(b"\n") else raw.readline(_PIECE)
        yield line.whole()


class _Line:
    """One line as it comes in pieces."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._done = bytearray()
        self._string: int | None = None
        """Where the string that is open began in `_done`."""
        self._is_left_out = False
        self._rest = b""

    def take(self, piece: bytes) -> int:
        """Take the next piece; return how many bytes are kept."""
        data, at = self._rest + piece, 0
        self._rest = b""
        while at < len(data):
            form = _OUTSIDE if self._string is None else _IN_STRING
            found = form.match(data, at)
            end = found.end() if found else at
            self._add(data[at:end])
            at = end
            if at < len(data) and data[at] == ord("\\"):  # the last of the piece: what it escapes is in the next one
                self._rest = data[at:]
                break
            if at < len(data):
                self._turn()
                at += 1
        return len(self._done)

    def whole(self) -> bytes:
        """Return the line."""
        self._add(self._rest)
        return bytes(self._done)

    def _add(self, data: bytes) -> None:
        if not self._is_left_out:
            self._done += data
            if self._string is not None and len(self._done) - self._string > self._most:
                del self._done[self._string :]
                self._done += LEFT_OUT.encode()
                self._is_left_out = True

    def _turn(self) -> None:
        """A string begins or ends."""
        self._done += b'"'
        self._string = len(self._done) if self._string is None else None
        self._is_left_out = False
