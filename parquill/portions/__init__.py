"""Portions: one run asked by several processes. Rows, limits and budget are divided among them.

    quotas.py        how much each process gets; the sums never pass the whole
    row_division.py  which rows each process asks; each row goes to one process
    coordinator.py   writes work orders, starts processes, asks again what a dead one left
    shared_run.py    adds up their progress, passes stops on
    local_pool.py    processes of this machine; __main__.py: one of them

The run's first process sends nothing while portions are at work: all limits are divided among them. When they
have ended, it merges their results (`portions/merge.py`) and asks the remaining rows with the whole limits and
the rest of the budget. The per-minute limits count as used up at that moment.

Divided are: requests and tokens a minute, requests a day, requests in flight (a number; with `auto` each process
finds its own), money and tokens of the budget. Duplicates go to one process. Rows that need more tokens than a
share of the minute are left to the first process.

Trade-offs: quotas are fixed while portions are at work, so the last ones leave some unused. Portions are of equal
length, so that they end together. Pictures of equal content under other names are found only within a portion.
"""

from parquill.portions.coordinator import WorkerPool, share_among
from parquill.portions.local_pool import LocalPool, share_here
from parquill.portions.mailbox import Mailbox
from parquill.portions.merge import Portions
from parquill.portions.quotas import Quota, divide_quotas
from parquill.portions.work_order import Coordinate, Handover, RunToShare, Stopped
from parquill.portions.worker import ask_portion

__all__ = [
    "Coordinate",
    "Handover",
    "LocalPool",
    "Mailbox",
    "Portions",
    "Quota",
    "RunToShare",
    "Stopped",
    "WorkerPool",
    "ask_portion",
    "divide_quotas",
    "share_among",
    "share_here",
]
