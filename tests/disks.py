"""Disks that fail on purpose: one dies at a given step, one forgets what was not synced, one is small."""

from __future__ import annotations

import itertools
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from parquill.storage import Disk

LATER = 4e9
"""A start after every write of a test, in seconds since 1970 UTC."""


class Died(BaseException):
    """The process died here; no `except Exception` may see it."""


class DyingDisk(Disk):
    """Dies before the n-th step or the next step of a kind, or after it; `steps` tells which there were."""

    def __init__(self, die_at: int | str | None = None, *, after: bool = False) -> None:
        self.steps: list[str] = []
        self._after = after
        self.die_at(die_at)

    def die_at(self, step: int | str | None) -> None:
        """Die at a step, counted from here."""
        self._die_at = step + len(self.steps) if isinstance(step, int) else step

    def _step(self, name: str) -> Iterator[bool]:
        """Yields once, telling whether the process dies right after this step."""
        last = self._die_at in {len(self.steps), name}
        self.steps.append(name)
        if last and not self._after:
            raise Died(name)
        yield last
        if last:
            raise Died(name)

    def create(self, path: Path) -> BinaryIO:
        for last in self._step("create"):
            file = super().create(path)
            if last:
                file.close()
        return file

    def write(self, file: BinaryIO, data: bytes) -> None:
        for _ in self._step("write"):
            super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        for _ in self._step("sync"):
            super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        for _ in self._step("rename"):
            super().rename(source, target)

    def remove(self, path: Path) -> None:
        for _ in self._step("remove"):
            super().remove(path)

    def sync_folder(self, path: Path) -> None:
        for _ in self._step("sync_folder"):
            super().sync_folder(path)


class FailingDisk(Disk):
    """Raises the given error at one kind of step."""

    def __init__(self, step: str, error: OSError) -> None:
        self._step = step
        self._error = error

    def _fail(self, step: str) -> None:
        if step == self._step:
            raise self._error

    def create(self, path: Path) -> BinaryIO:
        self._fail("create")
        return super().create(path)

    def write(self, file: BinaryIO, data: bytes) -> None:
        self._fail("write")
        super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        self._fail("sync")
        super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        self._fail("rename")
        super().rename(source, target)

    def sync_folder(self, path: Path) -> None:
        self._fail("sync_folder")
        super().sync_folder(path)


class ForgetfulDisk(DyingDisk):
    """One folder on a disk with a power switch.

    `cut` leaves what a power cut may leave: of each file the content that was synced, or any
    mixture of it with what was written since; of the folder's names those that were synced, and
    of the later changes any subset, since a disk may write them in any order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._synced: dict[int, bytes] = {}
        self._names: dict[Path, int] = {}
        self._changes: list[tuple[str, Path, Path | None, int]] = []

    def create(self, path: Path) -> BinaryIO:
        file = super().create(path)
        self._changes.append(("add", path, None, path.stat().st_ino))
        return file

    def sync(self, file: BinaryIO) -> None:
        super().sync(file)
        path = Path(file.name)
        self._synced[path.stat().st_ino] = path.read_bytes()

    def rename(self, source: Path, target: Path) -> None:
        inode = source.stat().st_ino
        super().rename(source, target)
        self._changes.append(("rename", source, target, inode))

    def remove(self, path: Path) -> None:
        inode = path.stat().st_ino if path.exists() else 0
        super().remove(path)
        self._changes.append(("remove", path, None, inode))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._apply(self._names, self._changes)
        self._changes.clear()

    @staticmethod
    def _apply(names: dict[Path, int], changes: list[tuple[str, Path, Path | None, int]]) -> None:
        for kind, path, target, inode in changes:
            if kind == "add":
                names[path] = inode
            else:
                names.pop(path, None)
            if target is not None:
                names[target] = inode

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Turn the power off: `folder` becomes what may be found when it comes back."""
        written = {path.stat().st_ino: path.read_bytes() for path in folder.iterdir()}
        names = dict(self._names)
        self._apply(names, [change for change in self._changes if chance.random() < 0.5])
        for path in folder.iterdir():
            path.unlink()
        for path, inode in names.items():
            path.write_bytes(self._torn(self._synced.get(inode), written.get(inode, b""), chance))

    @staticmethod
    def _torn(synced: bytes | None, written: bytes, chance: random.Random) -> bytes:
        if synced is not None:
            return synced
        length = chance.randrange(len(written) + 1)
        return bytes(byte if chance.random() < 0.9 else 0 for byte in itertools.islice(written, length))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A real file system of the given size (`1m`), where this machine lets us have one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path, size: str) -> None:
    """Free space on a small disk."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
