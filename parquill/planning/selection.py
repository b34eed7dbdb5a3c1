"""Selects the rows that a command asks; all other rows stay not attempted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from parquill.manifest import Slice


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one slice: from `start` to `stop` (to its end without one), save some that are left to others."""

    start: int = 0
    stop: int | None = None
    without: frozenset[int] = frozenset()

    @property
    def are_all(self) -> bool:
        """Whether they are the whole slice."""
        return not self.start and self.stop is None and not self.without

    def __contains__(self, row: int) -> bool:
        return self.start <= row and (self.stop is None or row < self.stop) and row not in self.without


EVERY = Rows()


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions in the manifest: those before `limit`, and of them only `positions` where given.

    `portion` says for slices, by their parts' names, which of their rows are asked here.
    """

    limit: int | None = None
    positions: frozenset[int] | None = None
    portion: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def is_all(self) -> bool:
        """Whether no row is left out."""
        return self.limit is None and self.positions is None and not self.portion

    @property
    def left_out(self) -> str:
        """What a row that is not asked says of it."""
        if self.positions is not None or self.portion:
            return "not among the rows chosen"
        return f"beyond --limit {self.limit}"

    def touches(self, one: Slice) -> bool:
        """Whether any row of a slice is chosen."""
        if self.positions is None and one.part not in self.portion:
            return self.limit is None or one.position < self.limit
        return any(True for _ in self.rows(one, 0, one.rows))

    def rows(self, one: Slice, start: int, stop: int) -> Iterator[int]:
        """Yield the chosen rows from `start` to `stop` of a slice."""
        last = stop if self.limit is None else min(stop, self.limit - one.position)
        chosen, here = self.positions, self.portion.get(one.part, EVERY)
        return (row for row in range(start, last) if row in here and (chosen is None or one.position + row in chosen))
