"""Writes to the log what changed at a gate: refusals, limits found and told, outages, the end.

Compares the gate's state before and after its decisions; it decides nothing. Only numbers and kinds are written, no
words of the endpoint: those may repeat a row.
"""

from __future__ import annotations

import logging
import math

from parquill.limits.search_stage import Stage
from parquill.limits.state import State

_log = logging.getLogger(__name__)


class GateLog:
    """What one gate was last seen doing."""

    __slots__ = ("_held", "_name", "_rate", "_shut", "_slots", "_throttled", "_tokens")

    def __init__(self, name: str, state: State) -> None:
        """Begin with the limits that the job names.

        Args:
            name: the endpoint's in messages; empty where a run has one endpoint.
            state: the gate's state before its first decision.
        """
        self._name = f"endpoint {name}: " if name else ""
        self._rate, self._tokens = _limit(state.requests.limit), _token_limit(state)
        self._slots = _found_slots(state)
        self._held = self._shut = False
        self._throttled = 0

    def compare(self, state: State) -> None:
        """Write what has changed since the last call."""
        if not _log.isEnabledFor(logging.INFO):
            return
        throttle, breaker = state.throttle, state.breaker
        if throttle.throttled != self._throttled:
            self._throttled = throttle.throttled
            _log.debug("%srefused for a limit: %d refusals so far", self._name, throttle.throttled)
        if (rate := _limit(state.requests.limit)) != self._rate:
            self._rate = rate
            _log.info("%slimit of requests a minute: %s", self._name, "none" if rate is None else f"{rate:g}")
        if (tokens := _token_limit(state)) != self._tokens:
            self._tokens = tokens
            _log.info("%slimit of tokens a minute: %s", self._name, "none" if tokens is None else f"{tokens:g}")
        if (slots := _found_slots(state)) != self._slots:
            self._slots = slots
            if slots is not None:
                _log.info("%sfound a limit of requests in flight: %d", self._name, slots)
        if breaker.is_open != self._held:
            self._held = breaker.is_open
            said = "fails: requests wait until it answers again" if self._held else "answers again: requests go on"
            _log.info("%sthe endpoint %s", self._name, said)
        if state.common.closed is not None and not self._shut:
            self._shut = True
            _log.info("%sno more requests are sent: %s", self._name, state.common.closed[0].value)


def _limit(value: float) -> float | None:
    return None if value == math.inf else value


def _token_limit(state: State) -> float | None:
    return None if state.tokens is None else _limit(state.tokens.limit)


def _found_slots(state: State) -> int | None:
    """The limit of requests in flight that the search holds; None while it searches."""
    slots = state.throttle.slots
    return int(slots.value) if slots.stage is Stage.HOLD else None
