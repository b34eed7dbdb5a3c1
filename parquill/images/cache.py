"""Shrunk pictures and drawn pages kept between runs, in a folder that stays below a size.

An entry's name is the digest of the value's identity and of all that shapes the result, so an
entry is never wrong for what it was made from; a picture that changed at the same URL is not
noticed (`images.refresh` looks for it, and puts the new one in its place). Written under
another name and renamed, so an entry is whole or absent. Above the bound the entries used
longest ago go, down to nine tenths of it; a use counts through the file's time. Several
processes may share a folder: the bound is then kept at each one's next clearing. Losing the
cache costs time only, so a full disk just stops it from growing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from parquill.images.sandbox.messages import LENGTHS, Piece, pack_pieces, read_pieces

RECIPE = b"3"
"""Changed whenever the same file would be shrunk into something else."""

_ENDING = ".shrunk"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a file became, its size in bytes, and the state its host said it was in."""

    pieces: tuple[Piece, ...]
    fetched: int
    version: str | None = None


class PictureCache:
    """A folder of results; all methods block."""

    def __init__(self, folder: str, megabytes: int) -> None:
        self._folder = Path(folder)
        self._bound = megabytes * 10**6
        self._size: int | None = None

    @staticmethod
    def key(identity: bytes, op: str, options: dict[str, object]) -> str:
        """Return the entry's name for a value and what is made of it."""
        recipe = json.dumps([op, options], sort_keys=True).encode()
        return hashlib.blake2b(b"\x00".join((RECIPE, recipe, identity)), digest_size=16).hexdigest()

    def get(self, key: str) -> Opened | None:
        """Return what is kept under `key`, or None."""
        path = self._folder / (key + _ENDING)
        try:
            entry = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return _unpacked(entry)

    def put(self, key: str, opened: Opened) -> None:
        """Keep a result in place of an older one, if it fits."""
        version = (opened.version or "").encode()
        entry = LENGTHS.pack(len(version), opened.fetched) + version + pack_pieces(opened.pieces)
        if len(entry) > self._bound // 2:
            return
        with contextlib.suppress(OSError):  # a cache that cannot be written is only slower
            self._write(self._folder / (key + _ENDING), entry)
            self._size = self._measured() if self._size is None else self._size + len(entry)
            if self._size > self._bound:
                self._clear()

    def _write(self, path: Path, entry: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{uuid.uuid4().hex}")
        try:
            draft.write_bytes(entry)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def _entries(self) -> list[tuple[int, int, str]]:
        """Return (time in ns, size, path) of each file, also of drafts that a crash left."""
        found = []
        with os.scandir(self._folder) as files:
            for file in files:
                with contextlib.suppress(OSError):  # another process may clear it meanwhile
                    status = file.stat()
                    found.append((status.st_mtime_ns, status.st_size, file.path))
        return sorted(found)

    def _measured(self) -> int:
        return sum(size for _, size, _ in self._entries())

    def _clear(self) -> None:
        entries = self._entries()
        self._size = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if self._size <= self._bound * 9 // 10:
                break
            Path(path).unlink(missing_ok=True)
            self._size -= size


def _unpacked(entry: bytes) -> Opened | None:
    try:
        version_size, fetched = LENGTHS.unpack_from(entry)
        at = LENGTHS.size + version_size
        version = entry[LENGTHS.size : at].decode()
        head_size, size = LENGTHS.unpack_from(entry, at)
        start = at + LENGTHS.size + head_size
        pieces = read_pieces(json.loads(entry[start - head_size : start])["pieces"], entry[start:])
    except (ValueError, KeyError, TypeError, struct.error):
        return None
    return Opened(pieces, fetched, version or None) if len(entry) == start + size else None
