"""Interface to a local disk: every step whose order decides what a power cut leaves."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

from parquill.errors import ParquillError, StorageFaultError, StorageFullError
from parquill.storage.private import private_mode

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk:
    """The machine's own disk. Tests hand in others; nothing else in Parquill calls fsync."""

    def create(self, path: Path) -> BinaryIO:
        """Open a new file for writing, unbuffered; one of that name must not exist.

        It is locked until it is closed, so that another process can tell that it is still written.
        """
        file = path.open("xb", buffering=0)
        with contextlib.suppress(OSError):  # a disk without locks: its leftovers are told by their age alone
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    def is_written(self, path: Path) -> bool | None:
        """Return whether a living process still writes a file that `create` opened; None where the disk cannot tell."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        except OSError:
            return None
        return False

    def write(self, file: BinaryIO, data: bytes) -> None:
        """Write all of `data`: a raw file may take less at once when the disk runs full."""
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]

    def sync(self, file: BinaryIO) -> None:
        """Return when the file's content would survive a power cut."""
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync stops at the drive's cache
            fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
        else:
            os.fsync(file.fileno())

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`; a reader sees the one or the other."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file; harmless when there is none."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Return when the folder's names would survive a power cut."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, path: Path, *, private: bool = False) -> None:
        """Create a folder and those above it, each durable before the next; `private` as `Storage.at` says."""
        missing = []
        while not path.exists():
            missing.append(path)
            path = path.parent
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        for folder in reversed(missing):
            folder.mkdir(private_mode(folder.parent, 0o777) if private else 0o777, exist_ok=True)
            self.sync_folder(folder.parent)

    def free_bytes(self, path: Path) -> int:
        """Free space where `path` is, or will be."""
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free


class Sink(io.RawIOBase):
    """Counts and digests what goes to a new file."""

    def __init__(self, disk: Disk, raw: BinaryIO) -> None:
        self._disk = disk
        self._raw = raw
        self.bytes = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        """Always true: it is opened for writing."""
        return True

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self.bytes

    def write(self, data: Any) -> int:
        """Write bytes, and return how many."""
        piece = bytes(data)
        self._disk.write(self._raw, piece)
        self.digest.update(piece)
        self.bytes += len(piece)
        return len(piece)


def storage_fault(error: OSError, path: object, doing: str) -> ParquillError:
    """Say in a person's words what the system refused while writing `path`."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFullError(
            f"{path}: no space left on the disk while {doing}. What is written is kept; free some space, "
            "then start the same command again"
        )
    return StorageFaultError(f"{path}: {doing} failed: {reason}")
