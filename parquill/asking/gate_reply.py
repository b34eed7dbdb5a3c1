"""Translates a reply for the gate: outcome, wait that the endpoint asked for, limits that it named."""

from __future__ import annotations

from parquill.errors import ErrorKind
from parquill.limits import Outcome, Reply, Scope, Wait, read_quotas, wait_seconds
from parquill.replies import Exchange, Verdict

_OK = Reply(Outcome.OK)
FAULTS = {
    ErrorKind.TIMEOUT: Outcome.TIMEOUT,
    ErrorKind.CONNECTION: Outcome.CONNECTION,
    ErrorKind.SERVER_ERROR: Outcome.SERVER_FAULT,
}


def fault_of(verdict: Verdict) -> Outcome | None:
    """Return which fault of the endpoint's a reply shows; None for none.

    A provider that breaks off has begun to answer: the endpoint is there, and asking until it answers may be billed
    each time.
    """
    return FAULTS.get(verdict.kind) if verdict.kind is not None and verdict.unused is None else None


def reply_of(verdict: Verdict, exchange: Exchange | None, now_wall: float) -> Reply:
    """Tell the gate what came back, and how long the endpoint asked to wait."""
    told = None if exchange is None else read_quotas(exchange.headers, now_wall)
    if verdict.completion is not None:
        return _OK if told is None else Reply(Outcome.OK, told=told)
    wait = None if exchange is None else wait_of(verdict, exchange, now_wall)
    if verdict.daily:
        return Reply(Outcome.THROTTLED, wait.full if wait else None, Scope.DAILY)
    seconds = wait.seconds if wait else None
    if verdict.throttled:
        return Reply(Outcome.THROTTLED, seconds, _scope(verdict), told, verdict.message)
    return Reply(fault_of(verdict) or Outcome.OTHER, seconds, words=verdict.message)


def wait_of(verdict: Verdict, exchange: Exchange, now_wall: float) -> Wait | None:
    """How long the endpoint asked to wait; of a fault the reset of a limit says nothing."""
    return wait_seconds(exchange.headers, verdict.wait_hint, now_wall, resets=verdict.throttled)


def _scope(verdict: Verdict) -> Scope:
    if verdict.in_flight_money:
        return Scope.IN_FLIGHT_MONEY
    return Scope.CONCURRENCY if verdict.at_once else Scope.UNCLEAR
