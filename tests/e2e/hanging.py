"""A run whose disk never returns from its first write, as a network drive that is gone."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import BinaryIO

from parquill.clock import SystemClock
from parquill.event_loop import run_alone
from parquill.job import load_job
from parquill.running import run_job
from parquill.signal_exit import ending_soon
from parquill.storage import Disk
from parquill.terminal import attended


class HangingDisk(Disk):
    """Tells of the write that does not return by a file beside the job."""

    def __init__(self, told: Path) -> None:
        self._told = told

    def write(self, file: BinaryIO, data: bytes) -> None:
        self._told.touch()
        threading.Event().wait()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    attach = attended(None, json_lines=False, stuck_seconds=0.5)
    with ending_soon():
        run_alone(
            run_job(load_job(path), attach=attach, clock=SystemClock(), disk=HangingDisk(path.with_name("hangs")))
        )
