"""Ends a command on a signal: SIGTERM like SIGINT, without waiting for threads that still read.

While rows are asked the run itself hears these signals (`terminal.py`).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from parquill.threads import end_process

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
        end_process(TERMINATED if terminated else INTERRUPTED)
    except SystemExit as leaving:
        if leaving.code == TERMINATED or (leaving.code == INTERRUPTED and terminated):
            end_process(TERMINATED)
        if leaving.code == INTERRUPTED:
            end_process(INTERRUPTED)
        raise
