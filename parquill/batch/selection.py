"""Which rows a command asks, where it does not ask them all; the others stay not attempted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from parquill.manifest import Slice


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions in the manifest: those before `limit`, and of them only `positions` where given.

    `without` names rows of slices, by their parts' names, that are left to others.
    """

    limit: int | None = None
    positions: frozenset[int] | None = None
    without: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def is_all(self) -> bool:
        """Whether no row is left out."""
        return self.limit is None and self.positions is None and not self.without

    @property
    def left_out(self) -> str:
        """What a row that is not asked says of it."""
        if self.positions is not None or self.without:
            return "not among the rows chosen"
        return f"beyond --limit {self.limit}"

    def touches(self, one: Slice) -> bool:
        """Whether any row of a slice is chosen."""
        if self.positions is None and one.part not in self.without:
            return self.limit is None or one.position < self.limit
        return any(True for _ in self.rows(one, 0, one.rows))

    def rows(self, one: Slice, start: int, stop: int) -> Iterator[int]:
        """Yield the chosen rows from `start` to `stop` of a slice."""
        last = stop if self.limit is None else min(stop, self.limit - one.position)
        chosen, others = self.positions, self.without.get(one.part, frozenset())
        return (
            row for row in range(start, last) if row not in others and (chosen is None or one.position + row in chosen)
        )
