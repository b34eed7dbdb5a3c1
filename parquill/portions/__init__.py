"""One run, asked by several processes: its rows, limits and budget shared out and given back.

    quotas.py   how much each gets: sums never pass the whole, whatever the number of processes
    row_division.py     which rows each asks: those to send, each once
    coordinator.py   orders out, processes at work, who died asked again
    monitor.py    their progress added up; their run's word to them
    local_pool.py    processes of this machine; __main__.py: one of them

The run's first process sends nothing while portions are at work: their shares are the whole. When they
have ended it takes over what they did (`portions/merge.py`) and asks what is left with the whole
limits and what remains of the budget. A minute's rates count as used up at that moment.

What is shared out: requests and tokens a minute, requests a day, slots in flight (a number;
`auto` is found by each process for itself), money and tokens of the budget. Equal rows go to one
process; rows that need more tokens than a share of the minute wait for the whole.

Trade-offs: shares are fixed while portions are at work, so the last of them leaves some unused;
portions are of equal length, so that they end together. Pictures of equal content under other
names are known to be equal only within a portion.
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
