"""Entry point of one process of a shared run: reads its handover from standard input, writes its outcome to disk."""

from __future__ import annotations

import json
import os
import sys

from parquill.clock import SystemClock
from parquill.endpoint import Keys
from parquill.errors import ParquillError
from parquill.event_loop import run_alone
from parquill.job import Secret
from parquill.portions import Handover, Mailbox, ask_portion
from parquill.running import run_job


def main() -> int:
    """Ask the portion that standard input names; 0 when it ended or stopped, 1 when it could not be asked."""
    told, parent = json.loads(sys.stdin.read()), os.getppid()
    key, mailbox = _keys(told["key"]), Mailbox(told["place"])
    try:
        commission = Handover(**told["commission"])
        os.chdir(commission.folder)
        run_alone(ask_portion(mailbox, commission, run_job=run_job, key=key, clock=SystemClock(), parent=parent))
    except ParquillError as error:
        sys.stderr.write(f"parquill: a portion was not asked: {error}\n")
        return 1
    return 0


def _keys(told: str | dict[str, str] | None) -> Keys:
    if isinstance(told, dict):
        return {name: Secret(key) for name, key in told.items()}
    return None if told is None else Secret(told)


if __name__ == "__main__":
    sys.exit(main())
