"""`Storage`: one folder, local or remote."""

from __future__ import annotations

import functools
import hashlib
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import fs

from parquill.errors import OutputError, StorageFaultError, UsageError
from parquill.storage.disk import Disk, Sink, storage_fault
from parquill.storage.file_types import ByteSink, FileEntry, StoredFile, Written
from parquill.storage.location import is_remote, local_path, open_remote, shown
from parquill.storage.patterns import glob_regex
from parquill.storage.private import private_mode
from parquill.store_calls import wait_for_call
from parquill.threads import StoppedError

T = TypeVar("T")

Check = Callable[[Any], object]
"""Reads a `pyarrow.NativeFile` back and raises when it is not what was meant."""

_PUTS = 2
_WHOLE_BYTES = 2**20
"""Objects up to this size are fetched whole."""
SILENCE_SECONDS = 20.0
"""Without a byte from a store: for manifests and outputs, which are not given up lightly."""
CALL_SECONDS = 60.0
"""For one call to a store, its library's own tries included."""
_LISTING_SECONDS = 600.0
_SLOWEST = 100_000
"""Bytes a second of what is put into a store, or read from it whole."""
_UNSURE_SECONDS = 24 * 3600.0
"""Age after which a leftover is removed of which no lock tells whether it is still written."""
_LEFTOVER = re.compile(r"^\.part-[0-9a-f]{32}\.tmp$")


def is_leftover(name: str) -> bool:
    """Whether a name is one that a write uses before its file is whole."""
    return bool(_LEFTOVER.match(name))


class Storage:
    """A folder of files, local or in an object store; names are relative to it, with `/`.

    Methods that read raise the `fault` class given to `at` (what a user named cannot be
    read); methods that write raise `StorageFullError` or `StorageFaultError`.
    """

    def __init__(self, label: str, filesystem: Any, root: str, disk: Disk | None, fault: type[UsageError]) -> None:
        self.label = label
        """The folder as it may be shown: without credentials."""
        self._filesystem = filesystem
        self._root = root
        self._disk = disk
        self._fault = fault
        self._private = False

    @classmethod
    def at(
        cls,
        location: str | Path,
        *,
        disk: Disk | None = None,
        fault: type[UsageError] = OutputError,
        private: bool = False,
        silence: float = SILENCE_SECONDS,
    ) -> Storage:
        """Return the folder at a local path, s3://, gs:// or az:// URI; it need not exist yet.

        `disk` stands for the local disk in tests. `private`: files and folders are made for their owner
        alone, where the local folder above them is (`private.py`). `silence`: seconds after which a store that sends
        nothing is given up, as far as its library can be told. Raises `fault` for a place that cannot be.
        """
        if not is_remote(str(location)):
            path = local_path(str(location))
            here = cls(str(path), fs.LocalFileSystem(), str(path.absolute()), disk or Disk(), fault)
            here._private = private
            return here
        filesystem, root = open_remote(str(location), fault, silence)
        return cls(shown(str(location)).partition("?")[0].rstrip("/"), filesystem, root, None, fault)

    @property
    def is_local(self) -> bool:
        """Whether the folder lies on this machine's file systems."""
        return self._disk is not None

    @property
    def local_path(self) -> Path | None:
        """The folder on this machine, or None for an object store."""
        return Path(self._root) if self._disk else None

    def where(self, name: str) -> str:
        """A file's place as it may be shown."""
        return f"{self.label}/{name}"

    def free_bytes(self) -> int | None:
        """Free space on the disk, or None for an object store."""
        return self._disk.free_bytes(Path(self._root)) if self._disk else None

    def files(self) -> list[FileEntry]:
        """The files directly in the folder, sorted by name; none when the folder is not there."""
        return self._entries(recursive=False)

    def glob(self, pattern: str) -> list[FileEntry]:
        """The files whose name fits, sorted: `*` and `?` stay in one step, `**/` takes any number."""
        fits = glob_regex(pattern).fullmatch
        return [entry for entry in self._entries(recursive="/" in pattern) if fits(entry.name)]

    def exists(self, name: str) -> bool:
        """Whether a file of this name is there."""
        with self._reading(name):
            return bool(self._wait(lambda: self._info(name)).type == fs.FileType.File)

    def open(self, name: str) -> Any:
        """Open a file for reading at any place: a `pyarrow.NativeFile`, to be closed.

        A small object is fetched whole: one request, which is tried again when the store is busy.
        pyarrow gives up on a busy store's answer that is longer than the few bytes it asked for.
        """
        with self._reading(name):
            return self._wait(lambda: self._open(name))

    def _open(self, name: str) -> Any:
        if self._is_google and (size := self._length(name)) <= _WHOLE_BYTES:
            with self._filesystem.open_input_stream(self._path(name), compression=None) as stream:
                return pa.BufferReader(stream.read_buffer(size))
        file = self._filesystem.open_input_file(self._path(name))
        if self._disk is not None or self._is_google or (size := file.size()) > _WHOLE_BYTES:
            return file
        with file:
            return pa.BufferReader(file.read_buffer(size))

    def open_whole(self, name: str) -> StoredFile:
        """Open a file that is read once, from its beginning to its end; blocks for as long as the store does."""
        with self._reading(name):
            if self._is_google:
                stream = functools.partial(self._filesystem.open_input_stream, self._path(name), compression=None)
                return StoredFile(self._length(name), stream)
            file = self._filesystem.open_input_file(self._path(name))
            return StoredFile(int(file.size()), lambda: file)

    def size(self, name: str, file: Any) -> int:
        """The length of a file that `open` returned."""
        return self._wait(lambda: self._length(name)) if self._is_google else int(file.size())

    @property
    def _is_google(self) -> bool:
        """Whether an open file is better left alone.

        Any use of a file first asks whether it is closed, and pyarrow holds the interpreter's lock for that.
        A file at Google answers once the store has: nothing else in the process moves until then.
        """
        return bool(self._filesystem.type_name == "gcs")

    def _info(self, name: str) -> Any:
        return self._filesystem.get_file_info(self._path(name))

    def _length(self, name: str) -> int:
        info = self._info(name)
        if info.size is None:
            raise FileNotFoundError(name)
        return int(info.size)

    def read_bytes(self, name: str) -> bytes:
        """Return a whole file."""

        def read() -> bytes:
            with self._filesystem.open_input_file(self._path(name)) as file:
                return bytes(file.read())

        with self._reading(name):
            return self._wait(read, _LISTING_SECONDS)

    def checksum(self, name: str) -> str:
        """SHA-256 of a file's content, in hex, read piece by piece."""
        digest = hashlib.sha256()
        path = self._path(name)
        with self._reading(name), self._wait(lambda: self._filesystem.open_input_stream(path)) as file:
            while piece := self._wait(lambda: file.read(1 << 20)):
                digest.update(piece)
        return digest.hexdigest()

    def make_ready(self) -> None:
        """Create the folder where it is missing, and see that it can be written to.

        Raises `OutputError` with the reason, before anything is paid for.
        """
        try:
            if self._disk:
                self._disk.make_folder(Path(self._root), private=self._private)
            self._try_to_write()
        except (OSError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or shown(str(error))
            raise OutputError(f"{self.label}: this folder cannot be written to: {reason}") from error

    def _try_to_write(self) -> None:
        probe = self._path(_temporary_name())
        if self._disk:
            self._disk.create(Path(probe)).close()
            self._disk.remove(Path(probe))
        else:
            self._wait(lambda: self._put(probe, memoryview(b"")))
            self._wait(lambda: self._filesystem.delete_file(probe))

    def remove_leftovers(self, before: float) -> int:
        """Remove what interrupted writes left; returns how many files went.

        For a process's start: `before` is that moment, in seconds since 1970 UTC, and younger files stay. So do
        those that a living process still writes; where a store cannot tell, those of the last day.
        """
        left = [entry for entry in self.files() if is_leftover(entry.name) and self._is_given_up(entry, before)]
        for entry in left:
            self.remove(entry.name)
        return len(left)

    def _is_given_up(self, entry: FileEntry, before: float) -> bool:
        written = self._disk.is_written(Path(self._path(entry.name))) if self._disk else None
        if written is None:
            before -= _UNSURE_SECONDS
        return not written and entry.modified_us is not None and entry.modified_us < before * 1_000_000

    def remove(self, name: str) -> None:
        """Remove a file for good; harmless when there is none."""
        with self._writing(name, "removing it"):
            if self._disk:
                self._disk.remove(Path(self._path(name)))
                self._disk.sync_folder(Path(self._path(name)).parent)
            elif self.exists(name):
                self._wait(lambda: self._filesystem.delete_file(self._path(name)))

    def write_whole(self, name: str, write: Callable[[ByteSink], object], check: Check | None = None) -> Written:
        """Write a file that appears under its name only when whole and durable.

        `write` fills a binary stream. `check` reads the file back before it appears (on an
        object store: right after) and raises when it is not what was meant.
        """
        with self._writing(name, "writing it"):
            return self._write_local(name, write, check) if self._disk else self._write_remote(name, write, check)

    def write_bytes(self, name: str, data: bytes) -> Written:
        """Write a small file whole: `write_whole` of what is there already."""
        return self.write_whole(name, lambda sink: sink.write(data))

    def _write_local(self, name: str, write: Callable[[ByteSink], object], check: Check | None) -> Written:
        disk, target = self._disk, Path(self._path(name))
        assert disk is not None
        temporary = target.with_name(_temporary_name())
        try:
            with disk.create(temporary) as raw:
                if self._private:
                    temporary.chmod(private_mode(temporary.parent, 0o666) & temporary.stat().st_mode)
                sink = Sink(disk, raw)
                write(sink)
                disk.sync(raw)
            if check:
                with self._filesystem.open_input_file(str(temporary)) as file:
                    check(file)
            disk.rename(temporary, target)
        except (Exception, StoppedError):
            _remove_quietly(disk, temporary)
            raise
        disk.sync_folder(target.parent)
        return Written(sink.bytes, sink.digest.hexdigest())

    def _write_remote(self, name: str, write: Callable[[ByteSink], object], check: Check | None) -> Written:
        # Not a view of a BytesIO: where both are garbage in one cycle, Python 3.12.1 ends with a segmentation fault.
        buffer = pa.BufferOutputStream()
        write(buffer)
        data = buffer.getvalue()
        # An upload that the store refused on its way may end well and leave nothing: it is put once more.
        for _ in range(_PUTS):
            self._wait(lambda: self._put(self._path(name), data), CALL_SECONDS + len(data) / _SLOWEST)
            if (stands := self._wait(lambda: self._length(name))) == len(data):
                break
        else:
            raise StorageFaultError(f"{self.where(name)}: {len(data)} bytes were put, {stands} stand there")
        if check:
            with self.open(name) as file:
                check(file)
        return Written(len(data), hashlib.sha256(data).hexdigest())

    def _put(self, path: str, data: pa.Buffer) -> None:
        with self._filesystem.open_output_stream(path) as stream:
            stream.write(data)

    def _wait(self, call: Callable[[], T], seconds: float | None = None) -> T:
        """Call what may wait for a store, at most so long; a local disk is asked at once."""
        return call() if self._disk is not None else wait_for_call(self.label, call, seconds or CALL_SECONDS)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _entries(self, *, recursive: bool) -> list[FileEntry]:
        selector = fs.FileSelector(self._root, allow_not_found=True, recursive=recursive)
        with self._reading(""):
            infos = self._wait(lambda: self._filesystem.get_file_info(selector), _LISTING_SECONDS)
        cut = len(self._root) + 1
        return sorted(
            (_entry(info, cut) for info in infos if info.type == fs.FileType.File), key=lambda entry: entry.name
        )

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        where = self.where(name) if name else self.label
        try:
            yield
        except FileNotFoundError:
            raise self._fault(f"{where}: there is no such file") from None
        except (OSError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or shown(str(error))
            raise self._fault(f"{where}: cannot be read: {reason}") from error

    @contextmanager
    def _writing(self, name: str, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_fault(error, self.where(name), doing) from error
        except pa.ArrowException as error:
            raise StorageFaultError(f"{self.where(name)}: {doing} failed: {shown(str(error))}") from error


def _temporary_name() -> str:
    return f".part-{uuid.uuid4().hex}.tmp"


def _remove_quietly(disk: Disk, path: Path) -> None:
    """The write's own fault is what the caller must hear; a leftover goes at the next start."""
    try:
        disk.remove(path)
    except OSError:
        return


def _entry(info: Any, cut: int) -> FileEntry:
    modified = info.mtime_ns // 1000 if info.mtime_ns is not None else None
    return FileEntry(info.path[cut:], int(info.size), modified)
