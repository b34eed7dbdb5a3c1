"""One process of a shared run: an order comes in on standard input, and its outcome stands on disk."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from parquill.batch import unwatched
from parquill.batch.portions import Order, ask_portion
from parquill.clock import SystemClock
from parquill.errors import ParquillError
from parquill.garbage import seldom_collected
from parquill.job import Secret
from parquill.portions.local import heeding


def main() -> int:
    """Ask the portion that standard input orders; 0 when it ended or stopped, 1 when it could not be asked."""
    told = json.loads(sys.stdin.read())
    order = Order.load(told["order"])
    os.chdir(order.folder)
    key = None if told["key"] is None else Secret(told["key"])
    clock = SystemClock()
    attach = heeding(order, unwatched, clock, parent=os.getppid())
    try:
        with seldom_collected():
            asyncio.run(ask_portion(order, key=key, clock=clock, attach=attach))
    except ParquillError as error:
        sys.stderr.write(f"parquill: a portion was not asked: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
