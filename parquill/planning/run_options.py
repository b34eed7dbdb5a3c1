"""Options that one command adds to a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parquill.errors import ErrorKind, UsageError
from parquill.planning.selection import Rows, Selection


@dataclass(frozen=True, slots=True)
class Portion:
    """What one of several processes asks of a run; its job has an output of its own and its share of the limits."""

    rows: Mapping[str, Rows]
    """The slices that it has a part in, by their parts' names."""
    emulated: bool
    """Whose answers these are, as the run's first process found."""
    base_url: str | None = None
    """Where the embedded emulator is, which the run's first process serves."""
    crowded: bool = False
    """The limits' last minute may have been used by others already."""
    sharers: int = 1
    """How many processes ask at the same time: each takes so small a part of a limit that the endpoint tells."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one command adds to a job."""

    limit: int | None = None
    """Ask only the first so many rows of the manifest."""
    select: frozenset[int] | None = None
    """Ask only the rows at these positions of the manifest."""
    retry: frozenset[ErrorKind] = frozenset()
    """Failed rows of these kinds are asked again too."""
    again: bool = False
    """Answered rows are asked again too, of those that are asked at all."""
    fresh_budget: bool = False
    """End the run that goes on, and begin one with the whole budget."""
    allow_shrink: bool = False
    """Accept a manifest that lost more than half of its rows."""
    replace: bool = False
    """Accept that changed settings take answers out of the table."""
    repair: bool = False
    """Set aside parts that are not as they were written, ask their rows again, and square the books."""
    deadline: float | None = None
    """Unix seconds at which to stop cleanly."""
    portion: Portion | None = None
    """Ask this portion of a run that several processes share."""
    sample: int | None = None
    """Ask so many rows, drawn from the whole manifest, into an output of their own beside the real one."""

    def __post_init__(self) -> None:
        if self.sample is None:
            return
        if self.again:
            raise UsageError("--retry ok asks rows of the table again, --sample asks beside it: give one of the two")
        if self.sample < 1:
            raise UsageError(f"--sample {self.sample}: a sample has at least 1 row")
        if self.limit is not None or self.select is not None:
            raise UsageError(
                "--sample draws rows from the whole manifest, --limit asks its first ones: give one of the two"
            )

    @property
    def chosen(self) -> Selection:
        """The rows that are asked."""
        portion = {} if self.portion is None else self.portion.rows
        return Selection(self.limit, self.select, {part: rows for part, rows in portion.items() if not rows.are_all})

    @property
    def is_crowded(self) -> bool:
        """Whether the limits' last minute may have been used by others."""
        return self.portion is not None and self.portion.crowded

    @property
    def sharers(self) -> int:
        """How many processes use the endpoint's limits for this run."""
        return 1 if self.portion is None else self.portion.sharers
