"""Timeline of a run: samples, thinned as it goes on, so that any run fits into memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimelineSample:
    """One look at a running job, `t` seconds after its start; counts are sums since the start."""

    t: float
    rows: int
    cost_pico: int
    tokens: int
    in_flight: int
    limit: int | None = None
    """Requests that may be in flight at that moment, where there is such a limit."""
    binds: str | None = None
    """The limit that held the run back then, in words ("requests/min"); None if none did."""


class Timeline:
    """Samples of a run of any length in bounded memory: when full, every second one goes."""

    __slots__ = ("_every", "_latest", "_most", "_samples")

    def __init__(self, most: int = 480, every: float = 1.0) -> None:
        """Keep about `most` samples, at first `every` seconds apart."""
        self._most, self._every = most, every
        self._samples: list[TimelineSample] = []
        self._latest: TimelineSample | None = None

    def add(self, sample: TimelineSample) -> None:
        """Take the sample; one too near to the last is kept only for as long as it is the newest."""
        self._latest = sample
        if self._samples and sample.t - self._samples[-1].t < self._every:
            return
        self._samples.append(sample)
        if len(self._samples) > self._most:
            self._samples = self._samples[::2]
            self._every *= 2

    def samples(self) -> tuple[TimelineSample, ...]:
        """Return what is kept, oldest first; the newest is always there."""
        newest = () if self._latest is None or self._latest in self._samples[-1:] else (self._latest,)
        return (*self._samples, *newest)
