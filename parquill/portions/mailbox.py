"""File mailbox between a run and the process that asks one of its portions.

    order.json     by the run, before the process starts: what to ask
    word.json      by the run, every few seconds: heartbeat, and whether to stop
    begun.json     by the process, before it sends anything
    progress.json  by the process, every few seconds: what it did so far
    report.json    by the process, at its end: what it spent and learned, and why it stopped early

A process that cannot read its order does not see the run's files, and asks nothing. One that gets no heartbeat
for `LEASE` seconds stops: its run is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pydantic

from parquill.errors import OutputError, ParquillError
from parquill.ledger import DatedSpend, EvidenceCount, Spend
from parquill.portions.work_order import Stopped, WorkOrder
from parquill.run_state import LimitUse, RunState
from parquill.storage import Storage, beside

T = TypeVar("T")
_MOST = 2**62
"""What the ledger can hold."""
_LAST_QUARTER = 2**32

BEAT = 5.0
LEASE = 60.0
"""Seconds without a word (or without progress) after which the other side counts as gone."""

_ORDER, _WORD, _BEGUN, _PROGRESS, _REPORT = "order.json", "word.json", "begun.json", "progress.json", "report.json"


@dataclass(frozen=True, slots=True)
class Signal:
    """Signal of a run to its portions; a new one each time serves as the heartbeat."""

    beat: int
    grace: float | None = None
    """Stop, and give requests in flight so many seconds; None: go on."""


@dataclass(frozen=True, slots=True)
class PortionProgress:
    """What a portion did so far. Money is in pico-USD; `at` is unix seconds."""

    at: float = 0.0
    ok: int = 0
    failed: int = 0
    reused: int = 0
    requests: int = 0
    http_429: int = 0
    in_flight: int = 0
    spent_pico: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[LimitUse, ...] = ()

    @classmethod
    def of(cls, state: RunState, at: float) -> PortionProgress:
        """Take what the run needs to know out of a portion's own state."""
        progress = state.progress
        return cls(
            at=at,
            ok=progress.rows.ok,
            failed=progress.rows.failed,
            reused=progress.rows.reused,
            requests=state.requests,
            http_429=state.http_429,
            in_flight=state.in_flight,
            spent_pico=state.spent_pico,
            prompt_tokens=progress.tokens.prompt,
            completion_tokens=progress.tokens.completion,
            errors=progress.errors_by_kind,
            limits=state.limits,
        )


@dataclass(frozen=True, slots=True)
class PortionReport:
    """A portion's end: what its ledger has booked, why it stopped with rows left, and its usage records."""

    spent: Spend
    stopped: Stopped | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[EvidenceCount, ...] = ()
    """Lines that its processes left in the tables about single requests."""
    by_quarter: Sequence[DatedSpend] = ()
    """`spent` by when it was sent; empty in the report of an earlier version."""


class Mailbox:
    """One portion's mailbox; every method blocks for as long as its store takes."""

    def __init__(self, place: str) -> None:
        """`place` is the portion's folder."""
        self.place = place
        self._storage = Storage.at(beside(place, "/post"), private=True)

    def open(self, order: WorkOrder) -> None:
        """Leave the order; raises `OutputError` where nothing can be left."""
        self._storage.make_ready()
        self._write(_ORDER, json.loads(order.dump()))
        self.tell(Signal(0))

    def order(self) -> WorkOrder:
        """Return what is asked; raises `OutputError` where the run's folder cannot be seen from here."""
        try:
            raw = self._storage.read_bytes(_ORDER)
        except OutputError:
            raise OutputError(
                f"{self._storage.label}: no order is found here, so this machine does not see the run's folder, or the "
                "run is over: have an output.path that every machine sees (s3://..., or a shared folder)"
            ) from None
        return WorkOrder.load(raw, self.place)

    def tell(self, word: Signal) -> None:
        """Send the process of this portion a heartbeat, or a stop."""
        self._write(_WORD, dataclasses.asdict(word))

    def told(self) -> Signal | None:
        """Return the run's latest word; None where it cannot be read."""
        return self._read(_WORD, _A_WORD)

    def begin(self) -> None:
        """Note that requests may have been sent from here on."""
        self._write(_BEGUN, {})

    @property
    def begun(self) -> bool:
        """Whether a process has begun to ask."""
        return self._storage.exists(_BEGUN)

    def show(self, progress: PortionProgress) -> None:
        """Tell the run how far this portion is."""
        self._write(_PROGRESS, dataclasses.asdict(progress))

    def shown(self) -> PortionProgress | None:
        """Return the portion's latest progress."""
        return self._read(_PROGRESS, _A_PROGRESS)

    def close(self, report: PortionReport) -> None:
        """Leave the report: the portion has ended."""
        self._storage.make_ready()
        self._write(_REPORT, dataclasses.asdict(report))

    def report(self) -> PortionReport | None:
        """Return the report; None while the portion has not ended."""
        report = self._read(_REPORT, _A_REPORT)
        if report is None:
            return None
        spends = (report.spent, *(one.spent for one in report.by_quarter))
        fits = all(0 <= figure < _MOST for spent in spends for figure in dataclasses.astuple(spent))
        return report if fits and all(0 <= one.quarter < _LAST_QUARTER for one in report.by_quarter) else None

    def remove(self) -> None:
        """Take everything away."""
        for entry in self._storage.files():
            self._storage.remove(entry.name)

    def _write(self, name: str, value: Any) -> None:
        data = json.dumps(value).encode()
        self._storage.write_bytes(name, data)

    def _read(self, name: str, form: pydantic.TypeAdapter[T]) -> T | None:
        """What stands in a file; None where it is missing, or not what it should be: others may write there."""
        with contextlib.suppress(ParquillError, ValueError, RecursionError):
            return form.validate_json(self._storage.read_bytes(name)) if self._storage.exists(name) else None
        return None


_A_WORD = pydantic.TypeAdapter(Signal)
_A_PROGRESS = pydantic.TypeAdapter(PortionProgress)
_A_REPORT = pydantic.TypeAdapter(PortionReport)
