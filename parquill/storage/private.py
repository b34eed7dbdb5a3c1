"""Private folders: created for this user alone, and checked before a file in them is trusted.

What holds for a folder that `check_private` passed: it is no link, it belongs to the user of this process, no one
else may write to it or read it, and everything in it is a plain file or folder of the same user, no link. With
`shared` (the job says that others work with the output too) owners and permissions are left as they are; links are
refused all the same.

Only the permission bits are seen; an access list that opens the folder for others is not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from parquill.errors import OutputError

_OTHERS = 0o077
_WRITE = 0o022


def check_private(folder: Path, *, shared: bool) -> None:
    """Close a folder of ours to others, and refuse what may not be ours; nothing where there is no folder.

    Raises `OutputError` with what is wrong and what to do.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        what = "is a link or no folder" if not folder.is_dir() or folder.is_symlink() else f"{error.strerror}"
        raise OutputError(f"{folder}: {what}; remove it, or choose another output.path") from None
    try:
        info = os.fstat(descriptor)
        if not shared:
            _refuse_owner(folder, info)
        was_open = bool(info.st_mode & _WRITE)
        if not shared and info.st_mode & _OTHERS:
            _close(descriptor)  # first: from here on no other user puts anything into it
        for root, folders, files, inside in os.fwalk(".", dir_fd=descriptor, follow_symlinks=False):
            for name in (*folders, *files):
                with contextlib.suppress(FileNotFoundError):  # a run at work has just removed it
                    _check(folder / root / name, name, inside, shared=shared, was_open=was_open)
    finally:
        os.close(descriptor)


def private_mode(folder: Path, mode: int) -> int:
    """Return the permissions of something new in `folder`: its owner's alone where that is how the folder is."""
    return mode & 0o700 if not folder.stat().st_mode & _OTHERS else mode


def _check(path: Path, name: str, inside: int, *, shared: bool, was_open: bool) -> None:
    info = os.stat(name, dir_fd=inside, follow_symlinks=False)
    is_file = stat.S_ISREG(info.st_mode)
    if not is_file and not stat.S_ISDIR(info.st_mode):
        raise OutputError(
            f"{path}: this is a link or no plain file, and Parquill makes none here: another user may have put it "
            "there. Look at it, remove it, and start the same command again"
        )
    if shared:
        return
    _refuse_owner(path, info)
    if is_file and was_open and info.st_nlink > 1:
        raise OutputError(
            f"{path}: this file has another name elsewhere (a hard link), and its folder was open to others. Put a "
            "copy in its place, or remove it, and start the same command again"
        )
    if info.st_mode & _OTHERS:
        with _unless_read_only():
            os.chmod(name, 0o600 if is_file else 0o700, dir_fd=inside)


def _close(descriptor: int) -> None:
    with _unless_read_only():
        os.fchmod(descriptor, 0o700)


@contextlib.contextmanager
def _unless_read_only() -> Iterator[None]:
    """On a disk that is not writable, permissions stay as they are."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


def _refuse_owner(path: Path, info: os.stat_result) -> None:
    if info.st_uid != os.geteuid():
        raise OutputError(
            f"{path}: this belongs to {_name(info.st_uid)}, and this process runs as {_name(os.geteuid())}: what lies "
            "there is not trusted. Choose another output.path; or, where several users work with this output and all "
            "of them are trusted, say output.shared: true"
        )


def _name(user: int) -> str:
    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the user {user}"
