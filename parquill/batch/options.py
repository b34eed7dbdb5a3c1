"""What one command adds to a job."""

from __future__ import annotations

from dataclasses import dataclass

from parquill.batch.selection import Selection
from parquill.errors import ErrorKind


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one command adds to a job."""

    limit: int | None = None
    """Ask only the first so many rows of the manifest."""
    select: frozenset[int] | None = None
    """Ask only the rows at these positions of the manifest."""
    retry: frozenset[ErrorKind] = frozenset()
    """Failed rows of these kinds are asked again too."""
    fresh_budget: bool = False
    """End the run that goes on, and begin one with the whole budget."""
    allow_shrink: bool = False
    """Accept a manifest that lost more than half of its rows."""
    deadline: float | None = None
    """Unix seconds at which to stop cleanly."""

    @property
    def chosen(self) -> Selection:
        """The rows that are asked."""
        return Selection(self.limit, self.select)
