"""The folder beside an output: paths of the run's own files, and the lock on them.

A local output `out/x` has `out/x.parquill/`; a remote one has a folder in the user's state,
named after the output and a digest of its URI, since a ledger needs a local disk.

What holds: one process at a time has the workspace. The lock is the kernel's (`flock`), so a
process that dies gives it up, whatever the lock file still says; what the file says is for the
message alone. It is not inherited: a child process that outlives its parent does not keep it.
The folder is used only where it is ours (`storage/private.py`): what lies in it was put there by this user, and is
data all the same: no file in it names code to import, or a folder to remove or change to.

Trade-offs: two machines (or users) that write to one remote output have different state
folders and are not kept apart. Reports and verification read without the lock.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
import re
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from parquill.clock import Clock, SystemClock
from parquill.errors import OutputError
from parquill.storage import Disk, Storage, check_private, identity, is_remote, private_mode, shown

SUFFIX = ".parquill"

_held: weakref.WeakSet[BinaryIO] = weakref.WeakSet()


def _close_in_child() -> None:
    for file in list(_held):
        file.close()


# A forked child shares the lock: without this it would hold it when its parent is gone.
os.register_at_fork(after_in_child=_close_in_child)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where an output's own files are; none of them need be there yet."""

    output: str
    """The output's place as it may be shown."""
    folder: Path
    shared: bool = False
    """Other users work with it too: `output.shared`."""

    @classmethod
    def of(cls, output_path: str, state_home: Path, *, shared: bool = False) -> Workspace:
        """Return the workspace of an output; `state_home` is the user's folder for state."""
        place = str(output_path).rstrip("/") or "/"
        label = shown(place)
        if is_remote(place):
            same = identity(place)
            name = f"{_slug(same)}-{hashlib.sha256(same.encode()).hexdigest()[:16]}"
            return cls(label, state_home / name, shared)
        local = Storage.at(place).local_path
        assert local is not None
        return cls(label, local.with_name(local.name + SUFFIX), shared)

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.sqlite"

    @property
    def manifest(self) -> Path:
        """The list of the output's parts, written last."""
        return self.folder / "manifest.json"

    @property
    def emulator_log(self) -> Path:
        """The embedded emulator's bill."""
        return self.folder / "emulator.jsonl"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    @property
    def runs(self) -> Path:
        """A folder with one record for each run."""
        return self.folder / "runs"

    @property
    def attempts(self) -> Path:
        """A folder with the attempts' bodies, where the job keeps them."""
        return self.folder / "attempts"

    @property
    def drift(self) -> Path:
        """A folder with the answers that were billed otherwise than the price of the start says."""
        return self.folder / "drift"

    @property
    def portions(self) -> Path:
        """A folder with what other processes were asked to do for the run that goes on."""
        return self.folder / "portions"

    @property
    def sample(self) -> Path:
        """A folder with the trial of a job on a few rows (`--sample`): its manifest, its output."""
        return self.folder / "sample"

    @property
    def sample_output(self) -> Path:
        """The output of `run --sample`."""
        return self.sample / "out"

    @property
    def estimate(self) -> Path:
        """The table of the last estimate."""
        return self.folder / "estimate.parquet"

    def storage(self, name: str = "") -> Storage:
        """The folder, or one in it, as a `Storage`, for files written whole."""
        return Storage.at(self.folder / name, private=True)

    def check(self) -> None:
        """See that the folder is ours, where there is one; raises `OutputError` where it may not be believed."""
        check_private(self.folder, shared=self.shared)

    def make_ready(self, disk: Disk | None = None) -> None:
        """Create the folder and see that it is ours and can be written to; raises `OutputError` with the reason."""
        try:
            if not os.path.lexists(self.folder):
                (disk or Disk()).make_folder(self.folder.parent)
                self.folder.mkdir(0o777 if self.shared else 0o700, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder}: this folder cannot be written to: {error.strerror}") from error
        self.check()
        Storage.at(self.folder, disk=disk, private=True).make_ready()

    def _remove_leftovers(self, before: float) -> None:
        for folder in (self.folder, self.attempts, self.drift, self.runs, self.portions):
            Storage.at(folder).remove_leftovers(before)

    @contextmanager
    def lock(self, clock: Clock | None = None) -> Iterator[None]:
        """Have the workspace for this process alone while the context lasts.

        What interrupted writes of earlier processes left is removed here, and only here: no other run writes now.
        Raises `OutputError` naming the process that has it, and since when.
        """
        self.make_ready()
        file = os.fdopen(self._open_lock(), "r+b", buffering=0)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(f"{self.output}: {_holder(file)}") from None
            _held.add(file)
            now = (clock or SystemClock()).wall()
            _sign(file, now)
            self._remove_leftovers(now)
            yield
        finally:
            file.close()

    def _open_lock(self) -> int:
        how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self.folder / "lock", how, private_mode(self.folder, 0o666))
        except OSError as error:
            raise OutputError(f"{self.folder / 'lock'}: cannot be opened: {error.strerror}") from error

    def check_free(self, needed: int, disk: Disk | None = None) -> None:
        """Raise `OutputError` when the disk of the workspace has less space than `needed` bytes."""
        free = (disk or Disk()).free_bytes(self.folder)
        if free < needed:
            raise OutputError(
                f"{self.folder}: this run may need {_size(needed)} here, {_size(free)} are free; "
                "free some space, or choose an output.path on another disk"
            )


def _slug(place: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", place.partition("?")[0]).strip("-")[-60:].strip("-")


def _sign(file: BinaryIO, now: float) -> None:
    started = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds")
    file.seek(0)
    file.truncate(0)
    file.write(orjson.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}))


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        signed = orjson.loads(file.read())
        who = f"process {signed['pid']} on {signed['host']}, which started at {signed['started']}"
    except (KeyError, TypeError, ValueError):
        who = "another process"  # it holds the lock and has not signed yet
    return f"this output is in use by {who}. Wait for it or stop it, then start this command again"


def _size(count: int) -> str:
    """Bytes for people: three digits and a unit."""
    amount, units = float(count), ("bytes", "kB", "MB", "GB", "TB")
    unit = 0
    while amount >= 1000 and unit < len(units) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.3g} {units[unit]}"
