"""One run, asked by several processes: its rows, limits and budget shared out and given back.

    shares.py   how much each gets: sums never pass the whole, whatever the number of processes
    rows.py     which rows each asks: those to send, each once
    spread.py   orders out, processes at work, who died asked again
    watch.py    their progress added up; their run's word to them
    local.py    processes of this machine; __main__.py: one of them

The run's first process sends nothing while portions are at work: their shares are the whole. When they
have ended it takes over what they did (`batch/portions.py`) and asks what is left with the whole
limits and what remains of the budget. A minute's rates count as used up at that moment.

What is shared out: requests and tokens a minute, requests a day, slots in flight (a number;
`auto` is found by each process for itself), money and tokens of the budget. Equal rows go to one
process; rows that need more tokens than a share of the minute wait for the whole.

Trade-offs: shares are fixed while portions are at work, so the last of them leaves some unused;
portions are of equal length, so that they end together. Pictures of equal content under other
names are known to be equal only within a portion.
"""

from parquill.portions.local import LocalCrew, spread_here
from parquill.portions.shares import Share, share_out
from parquill.portions.spread import Crew, spread_over

__all__ = ["Crew", "LocalCrew", "Share", "share_out", "spread_here", "spread_over"]
