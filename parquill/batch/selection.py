"""Which rows a command asks, where it does not ask them all; the others stay not attempted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from parquill.manifest import Slice


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions in the manifest: those before `limit`, and of them only `positions` where given."""

    limit: int | None = None
    positions: frozenset[int] | None = None

    @property
    def is_all(self) -> bool:
        """Whether no row is left out."""
        return self.limit is None and self.positions is None

    @property
    def left_out(self) -> str:
        """What a row that is not asked says of it."""
        return "not among the rows chosen" if self.positions is not None else f"beyond --limit {self.limit}"

    def touches(self, one: Slice) -> bool:
        """Whether any row of a slice is chosen."""
        if self.positions is None:
            return self.limit is None or one.position < self.limit
        return any(True for _ in self.rows(one, 0, one.rows))

    def rows(self, one: Slice, start: int, stop: int) -> Iterator[int]:
        """Yield the chosen rows from `start` to `stop` of a slice."""
        last = stop if self.limit is None else min(stop, self.limit - one.position)
        chosen = self.positions
        return (row for row in range(start, last) if chosen is None or one.position + row in chosen)
