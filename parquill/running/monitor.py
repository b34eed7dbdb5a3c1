"""Reports a running job: one frozen `RunState` for observers, and a timeline."""

from __future__ import annotations

import logging
from dataclasses import replace

from parquill.clock import Clock
from parquill.cost_range import SHARES
from parquill.limits import Binding, GateStatistics, RunGate
from parquill.run_state import LimitUse, RunState
from parquill.running.workers import WorkerLoop
from parquill.summary import RowCounts, Tally
from parquill.text import duration
from parquill.timeline import Timeline
from parquill.timeline_sampling import Pace, sample_of

_NAMES = {
    Binding.REQUESTS: "requests/min",
    Binding.TOKENS: "tokens/min",
    Binding.DAY: "requests/day",
    Binding.IN_FLIGHT: "in flight",
    Binding.BUDGET: "budget",
}
_SILENT = 5.0
"""Seconds without one answer after which the last fault's words are shown."""

_log = logging.getLogger(__name__)


class RunMonitor:
    """Reads the state of a run's parts; `state` may be called at any time."""

    def __init__(
        self,
        job: str,
        loop: WorkerLoop,
        gate: RunGate,
        tally: Tally,
        clock: Clock,
        *,
        cap_pico: int | None,
        timeline: Timeline,
        started: float,
    ) -> None:
        """`started` is when the run began, on the clock's monotonic time."""
        self._job = job
        self._loop = loop
        self._gate = gate
        self._tally = tally
        self._clock = clock
        self._cap_pico = cap_pico
        self._started = started
        self._pace = Pace()
        self._logged = ""
        self._told: set[str] = set()
        self.timeline = timeline

    def state(self) -> RunState:
        """Return the run at this moment, and remember it for the timeline."""
        seconds = self._clock.monotonic() - self._started
        gate, progress = self._gate.statistics(), self._tally.snapshot()
        state = RunState(
            job=self._job,
            seconds=seconds,
            progress=progress,
            stages=self._loop.stages(),
            in_flight=gate.in_flight,
            requests=gate.sent,
            http_429=gate.throttled,
            spent_pico=gate.spent_pico,
            cap_pico=self._cap_pico,
            limits=_limits(gate, self._cap_pico),
            message=self._message(gate),
        )
        self.timeline.add(sample_of(state, tokens=gate.spent_tokens, limit=gate.in_flight_limit))
        return replace(state, eta_seconds=self._pace.left(state))

    @property
    def rows(self) -> RowCounts:
        """The manifest's rows by what has become of them so far."""
        return self._tally.snapshot().rows

    @property
    def row_costs(self) -> tuple[int, ...]:
        """What a row that this process sent cost at most, at each of `cost_range.SHARES`."""
        return self._tally.costs.quantiles(SHARES)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The endpoints that take no more requests of this run, with their words."""
        return self._gate.statistics().left_out

    def _message(self, gate: GateStatistics) -> str | None:
        closed = self._gate.closed
        if closed is not None:
            return f"stopping: {closed.message}"
        message = _waiting(gate, self._clock.monotonic())
        if gate.last_fault and message and gate.last_fault != self._logged:
            self._logged = gate.last_fault
            _log.warning("%s", message)
        for told in set(gate.left_out) - self._told:
            self._told.add(told)
            _log.warning("%s", told)
        return message or ("; ".join(gate.resting) or None)


def _waiting(gate: GateStatistics, now: float) -> str | None:
    """Say what the run waits for, and the last fault's own words; None while the endpoint answers."""
    since = gate.unanswered_since
    silent = 0.0 if since is None else now - since
    if gate.binding is Binding.PAUSE:
        why = "the endpoint asked for a pause" if gate.asked_to_wait else "the endpoint takes no more for now"
    elif gate.binding is Binding.BREAKER:
        why = "the endpoint is failing; rows wait until it is back"
    elif silent >= _SILENT:
        why = "the endpoint is failing"
    else:
        return None
    if since is None:
        return why
    return f"{why}; no answer for {duration(silent)}: {gate.last_fault or 'no reason was told'}"


def _limits(gate: GateStatistics, cap_pico: int | None) -> tuple[LimitUse, ...]:
    uses: list[tuple[Binding, float, float | None]] = [
        (Binding.IN_FLIGHT, gate.in_flight, gate.in_flight_limit),
        (Binding.REQUESTS, gate.requests_last_minute, gate.requests_per_minute),
        (Binding.TOKENS, gate.tokens_last_minute, gate.tokens_per_minute),
        (Binding.DAY, gate.day_used, gate.day_limit),
        (Binding.BUDGET, (gate.spent_pico + gate.reserved_pico) / 1e12, cap_pico / 1e12 if cap_pico else None),
    ]
    return tuple(
        LimitUse(_NAMES[binding], used, of, binds=gate.binding is binding)
        for binding, used, of in uses
        if of is not None
    )
