"""Opens files that a manifest names by path: regular ones below the root only, checked twice.

The path is judged by its text before anything is asked of it, resolved before it is opened, and
again on what was really opened, so that a link swapped in between leads nowhere either.
Opening never blocks on a pipe.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from parquill.errors import ErrorKind, RowError
from parquill.fetch import printable, too_large


class LocalRoot:
    """The folder that local paths must stay in."""

    def __init__(self, folder: str, most_bytes: int) -> None:
        """`most_bytes`: a larger file is refused."""
        self._named = Path(folder.removeprefix("file://")).expanduser().absolute()
        self._root = self._named.resolve()
        self._most = most_bytes

    def path(self, path: str) -> Path:
        """Return where `path` would lie; it may lead out of the root."""
        return self._root / path.strip()

    def stat(self, path: str) -> tuple[int, int]:
        """Return size in bytes and mtime in ns of a path below the root; raises `OSError`."""
        if not self._is_below(path):
            raise FileNotFoundError(path)
        found = (self._root / path).stat()
        return found.st_size, found.st_mtime_ns

    def expected_size(self, path: str) -> int:
        """Return about how many bytes `read` will hold."""
        try:
            return min(self.stat(path)[0], self._most)
        except (OSError, ValueError):
            return 0

    def read(self, path: str) -> bytes:
        """Return a file's bytes; blocking.

        Raises `RowError`: `image_refused` for what lies outside the root or is no regular file,
        `image_unreachable` for what is not there.
        """
        if not self._is_below(path):
            raise self._outside(path)
        try:
            self._judge(path, (self._root / path).resolve())
            descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
            raise _absent(path, error) from None
        try:
            self._judge(path, _opened_path(descriptor, self._root / path))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _refused(path, "it is not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(self._most + 1)
        except OSError as error:
            raise _absent(path, error) from None
        finally:
            os.close(descriptor)
        if len(data) > self._most:
            raise _refused(path, too_large(self._most))
        return data

    def judge(self, path: str) -> None:
        """Raise `RowError(image_refused)` for a path that leads out of the root; nothing is opened."""
        if not self._is_below(path):
            raise self._outside(path)
        with contextlib.suppress(OSError, RuntimeError):
            self._judge(path, (self._root / path).resolve())

    def _judge(self, path: str, real: Path) -> None:
        if not real.is_relative_to(self._root):
            raise self._outside(path)

    def _is_below(self, path: str) -> bool:
        """Judge a path by its text: what leads out is not even asked for (an automounter would go and mount it)."""
        return any(Path(os.path.normpath(root / path)).is_relative_to(root) for root in (self._root, self._named))

    def _outside(self, path: str) -> RowError:
        return _refused(path, f"it leads out of images.root, {self._root}")


def _opened_path(descriptor: int, name: Path) -> Path:
    """Return the path of what was opened, links followed: Linux tells it, elsewhere the name is resolved again."""
    told = Path(f"/proc/self/fd/{descriptor}")
    return told.readlink() if told.is_symlink() else name.resolve()


def _absent(path: str, error: OSError | RuntimeError) -> RowError:
    why = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
    return RowError(ErrorKind.IMAGE_UNREACHABLE, f"{printable(path)}: {why}")


def _refused(path: str, why: str) -> RowError:
    return RowError(ErrorKind.IMAGE_REFUSED, f"the path {printable(path)} is refused: {why}")
