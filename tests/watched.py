"""Runs work in a process of its own and ends it when one input takes too long or too much memory, naming the input.

A hang inside a library hears no signal and holds the interpreter's lock: only another process can tell of it.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import resource
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HEAD = struct.Struct("ddI")
"""When the input began (monotonic seconds), the process's bytes then, the length of what names it."""
_ROOM = 16_384
_ROOM_ABOVE = 4 << 30
"""Bytes of address space above what the process has at its start: protects the machine, not judged."""


class Watched:
    """What the process that works tells the one that watches."""

    def __init__(self) -> None:
        self.shared = mmap.mmap(-1, _ROOM)

    def begin(self, where: str, value: Any) -> None:
        """Note the input that is worked on from now."""
        said = f"{where}: {_short(value)}".encode("utf-8", "backslashreplace")[: _ROOM - _HEAD.size]
        self.shared[_HEAD.size : _HEAD.size + len(said)] = said
        self.shared[: _HEAD.size] = _HEAD.pack(time.monotonic(), _resident("self"), len(said))

    def now(self) -> tuple[float, float, str]:
        """Return when the input began, the memory then, and what names it."""
        began, resident, length = _HEAD.unpack(self.shared[: _HEAD.size])
        return began, resident, self.shared[_HEAD.size : _HEAD.size + length].decode("utf-8", "replace")


def watch(work: Callable[[Watched], None], *, seconds: float, bytes_grown: int) -> str | None:
    """Run `work` in a process of its own.

    Args:
        work: calls `begin` before each input.
        seconds: that one input may take.
        bytes_grown: by which the process may grow over one input.

    Returns:
        None where it came to its end, else which input failed and why.
    """
    watched = Watched()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _work(work, watched, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        found = _judged(child, watched, seconds, bytes_grown)
        if found is not None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        said = told.read().decode("utf-8", "replace") if found is None else ""
    if found is None and status:
        found = said or f"the process ended with status {status}"
    return None if found is None else f"{found}\nat {watched.now()[2]}"


def _work(work: Callable[[Watched], None], watched: Watched, writing: int) -> None:
    faulthandler.cancel_dump_traceback_later()  # the limit of a test is the other process's business
    signal.setitimer(signal.ITIMER_REAL, 0)
    status = 1
    try:
        most = _address_space() + _ROOM_ABOVE
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
        work(watched)
        status = 0
    except BaseException:
        os.write(writing, traceback.format_exc()[-8_000:].encode("utf-8", "backslashreplace"))
    finally:
        os._exit(status)


def _judged(child: int, watched: Watched, seconds: float, bytes_grown: int) -> str | None:
    """Wait for the end of the process; say what it does that it may not."""
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        threading.Event().wait(0.02)
        began, resident, _ = watched.now()
        if began and time.monotonic() - began > seconds:
            return f"an input took more than {seconds:.0f} s"
        if began and (grown := _resident(str(child)) - resident) > bytes_grown:
            return f"an input took {grown / 2**20:.0f} MB"
    return None


def _resident(process: str) -> float:
    try:
        return float(Path(f"/proc/{process}/statm").read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError):  # it has just ended
        return 0.0


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE


def _short(value: Any) -> str:
    """An input as it can be typed; a long one by its beginning, its end and its length."""
    if isinstance(value, (str, bytes)) and len(value) > 2_000:
        return f"{value[:1000]!r} … {value[-500:]!r} ({len(value)} in all)"
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return repr(value)[:8_000]
