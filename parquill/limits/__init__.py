"""Limits filled to the brim and never passed.

The map, from policy to shell; only the last one waits, and only it reads a clock:

    window.py    a known limit per minute: held in every window of 60 s, used evenly
    bracket.py    an unknown one: a bracket search, for a rate (rate_search.py) and for the number in
                 flight (concurrency_search.py)
    random_refusals.py     refusals that come and go whatever we do
    pause.py     shut, one request tries the way, a ramp
    throttle.py  what a refusal does: one pause and one cut for each episode, in the right search
    breaker.py   faults: rows wait while the endpoint fails; retries are kept to a share
    unanswered.py  how long nothing was answered, and what came instead
    state.py     all that the gate knows, with the budget and the days
    queue.py who goes next
    step.py      step(state, now, event) -> (state, decisions)
    gate.py      futures and one timer around `step`
    rate_limit_headers.py    what replies say of limits, in headers
    retry_after.py    how long a server asks to wait, in the many ways servers write it

Values: values.py for callers, events.py between `gate` and `step`.

Invariants: requests and tokens of the last 60 s, the day's requests, requests in flight and
money are within their caps after every event; they are taken together or not at all, first in
first out with retries first; when nothing is under way nothing is held.
"""

from parquill.limits.gate import Gate, Look
from parquill.limits.rate_limit_headers import HeaderLimit, Told, read_quotas
from parquill.limits.retry_after import Wait, wait_seconds
from parquill.limits.state import LOOK_AGAIN
from parquill.limits.values import (
    Binding,
    GateClosed,
    GateStatistics,
    Need,
    Outcome,
    Reply,
    Scope,
    Ticket,
)

__all__ = [
    "LOOK_AGAIN",
    "Binding",
    "Gate",
    "GateClosed",
    "GateStatistics",
    "HeaderLimit",
    "Look",
    "Need",
    "Outcome",
    "Reply",
    "Scope",
    "Ticket",
    "Told",
    "Wait",
    "read_quotas",
    "wait_seconds",
]
