"""Raises the limit of open files and connections of this process, and counts the free ones.

Depends on the operating system alone; where it does not tell, nothing is raised and nothing is limited.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import socket
from pathlib import Path

log = logging.getLogger(__name__)

KEPT_FREE = 96
"""Open files that are left to all but requests: ledger, parts, pictures, look-ups, and connections that rest."""
_FULL = frozenset({errno.EMFILE, errno.ENFILE})
_ENOUGH = 10_240
"""What macOS allows (`OPEN_MAX`) where it names no limit; more is tried first."""


def raise_limit() -> None:
    """Raise the soft limit as far as the hard one allows; shells of macOS start programs with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = [hard, _ENOUGH] if hard != resource.RLIM_INFINITY else [2**20, _ENOUGH]
    for limit in wanted:
        if soft != resource.RLIM_INFINITY and limit > soft:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                log.debug("open files: limit raised from %d to %d", soft, limit)
                return


def most_in_flight() -> int | None:
    """Return how many requests may be in flight at once, so that the open files do not run out; at least 1.

    None where there is no limit.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(1, soft - _open_now() - KEPT_FREE)


def ran_out(error: BaseException) -> bool:
    """Whether something failed because no more files may be open: a wait, since those in flight end some time.

    A name is looked up through files and sockets too; what the system says then may be that there is no such name,
    so whether a file can be opened is tried.
    """
    cause: BaseException | None = error
    while cause is not None:
        inner = getattr(cause, "os_error", None)
        if any(isinstance(one, OSError) and one.errno in _FULL for one in (cause, inner)):
            return True
        if any(isinstance(one, socket.gaierror) for one in (cause, inner)):
            return _is_full()
        cause = cause.__cause__ or (inner.__cause__ if isinstance(inner, BaseException) else None)
    return False


def _is_full() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _FULL
    return False


def _open_now() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return 32
