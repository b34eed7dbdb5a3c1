"""Ends a command on a signal: SIGTERM like SIGINT, without waiting for threads that still read.

While rows are asked the run itself hears these signals (`terminal.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit statuses."""


@contextlib.contextmanager
def ending_soon() -> Iterator[None]:
    """Have a command end within a second or two of SIGINT or SIGTERM; for a process that does nothing else.

    SIGTERM does what SIGINT does at that moment: cancel the work, once more cut it off. A process that had SIGTERM
    ignored, or heard elsewhere, keeps that.
    """
    terminated = False

    def terminate(_: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        heard = signal.getsignal(signal.SIGINT)
        if not callable(heard):
            raise KeyboardInterrupt
        heard(signal.SIGINT, frame)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        _leave(TERMINATED if terminated else INTERRUPTED)
    except SystemExit as leaving:
        if leaving.code == TERMINATED or (leaving.code == INTERRUPTED and terminated):
            _leave(TERMINATED)
        if leaving.code == INTERRUPTED:
            _leave(INTERRUPTED)
        raise


def _leave(status: int) -> NoReturn:
    """End the process now: the work has ended, and a thread that is stuck in a read would keep it alive."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or no one reads it any more
            stream.flush()
    os._exit(status)
