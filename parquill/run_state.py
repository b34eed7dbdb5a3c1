"""`RunState`: the state of a run at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from parquill.summary import Progress


@dataclass(frozen=True, slots=True)
class Stages:
    """Rows at each stage now, so that a slow stage is seen and nothing looks hung."""

    reading: int = 0
    """Read from the manifest, waiting for a worker."""
    pictures: int = 0
    """Their pictures or documents are being fetched, shrunk or rendered."""
    asking: int = 0
    """At the gate, in flight, or between two attempts."""
    writing: int = 0
    """Answered, waiting for their part to be written."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit and how full it is, in its own unit: `LimitUse("requests/min", 498, 500, binds=True)`."""

    name: str
    used: float
    of: float
    binds: bool = False
    """This limit is what the next request waits for."""

    @property
    def share(self) -> float:
        """How full it is, from 0 to 1; above 1 where more was used than allowed."""
        return self.used / self.of if self.of else 1.0


@dataclass(frozen=True, slots=True)
class RunState:
    """A running job. Money is in pico-USD, times are in seconds."""

    job: str
    seconds: float
    """Since the start of this process's run."""
    progress: Progress
    stages: Stages = Stages()
    in_flight: int = 0
    requests: int = 0
    """Sent so far by this process, for rows that are not finished too."""
    http_429: int = 0
    spent_pico: int = 0
    """Spent of the budget's period, with what is reserved for requests in doubt."""
    cap_pico: int | None = None
    limits: tuple[LimitUse, ...] = ()
    eta_seconds: float | None = None
    message: str | None = None
    """What the run waits for or is busy with, in words; None when rows flow."""

    @property
    def done(self) -> int:
        """Rows with an outcome, those kept from earlier runs too."""
        return self.progress.rows.ok + self.progress.rows.failed

    @property
    def holding(self) -> LimitUse | None:
        """The limit that holds the run back, if one does."""
        return next((limit for limit in self.limits if limit.binds), None)
