"""Stops a run early when too many of the rows that finished last have failed."""

from __future__ import annotations

from collections import deque

from parquill.job import FailureSettings


class ErrorRate:
    """Counts failures among the last `failures.window` finished rows."""

    def __init__(self, settings: FailureSettings) -> None:
        self._most = settings.max_error_rate
        self._recent: deque[bool] = deque(maxlen=settings.window)
        self._failed = 0

    def add(self, *, failed: bool) -> str | None:
        """Count a finished row; return why the run stops, where too many have failed."""
        most, recent = self._most, self._recent
        if most is None:
            return None
        if len(recent) == recent.maxlen:
            self._failed -= recent[0]
        recent.append(failed)
        self._failed += failed
        if len(recent) < (recent.maxlen or 0) or self._failed <= most * len(recent):
            return None
        return (
            f"{self._failed} of the last {len(recent)} finished rows failed, more than "
            f"failures.max_error_rate {most:g} allows"
        )
