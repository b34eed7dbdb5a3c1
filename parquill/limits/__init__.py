"""Rate and concurrency limits: used fully, never exceeded.

From policy to I/O; only `gate.py` waits and reads a clock:

    window.py              a known limit per minute: kept in every window of 60 s, used evenly
    search_stage.py        an unknown limit: a bracket search, for a rate (rate_search.py) and for the
                           requests in flight (concurrency_search.py)
    random_refusals.py     refusals that do not depend on our load
    pause.py               after a refusal: block all, send one probe, ramp up
    throttle.py            what a refusal does: one pause and one cut for each episode, in the right search
    breaker.py             faults: rows wait while the endpoint fails; retries are kept to a share
    unanswered.py          how long nothing was answered, and what came instead
    state.py               the gate's whole state, with the budget and the days
    queue.py               who goes next
    gate_policy.py         step(state, now, event) -> (state, decisions)
    gate.py                futures and one timer around `step`
    endpoints.py           several endpoints of one run: a gate each, and which of them an attempt goes to
    rate_limit_headers.py  limits that replies name in headers
    retry_after.py         how long a server asks to wait, in the many ways servers write it

Values: tickets.py for callers, events.py between `gate` and `step`.

Guarantees: requests and tokens of the last 60 s, the day's requests, requests in flight and money are within
their caps after every event. They are taken together or not at all, first in first out, retries first. When
nothing is in flight, nothing is held.
"""

from parquill.limits.endpoints import Gates
from parquill.limits.gate import Gate, Look, RunGate
from parquill.limits.rate_limit_headers import HeaderLimit, Told, read_quotas
from parquill.limits.retry_after import Wait, wait_seconds
from parquill.limits.state import LOOK_AGAIN
from parquill.limits.tickets import (
    NO_ENDPOINT,
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
    "NO_ENDPOINT",
    "Binding",
    "Gate",
    "GateClosed",
    "GateStatistics",
    "Gates",
    "HeaderLimit",
    "Look",
    "Need",
    "Outcome",
    "Reply",
    "RunGate",
    "Scope",
    "Ticket",
    "Told",
    "Wait",
    "read_quotas",
    "wait_seconds",
]
