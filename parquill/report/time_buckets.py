"""Time series of rows, cost and tokens, in bounded memory.

A bucket is one second long at first. When there are too many buckets, their length doubles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("rows", "cost_pico", "tokens")
_MOST_MOMENTS = 4_000
_MICROSECONDS = 1_000_000


class RunTimeline:
    """Sums of rows, money and tokens by the moment at which rows were finished."""

    def __init__(self) -> None:
        self.seconds = 1
        """How long a moment is."""
        self._sums: pd.DataFrame | None = None

    def add(
        self, finished_us: np.ndarray[Any, Any], cost_pico: np.ndarray[Any, Any], tokens: np.ndarray[Any, Any]
    ) -> None:
        """Take in rows: when each was finished (microseconds since 1970 UTC), its cost, its tokens."""
        import pandas as pd  # noqa: PLC0415 - half a second that only a report needs

        moments = finished_us // (self.seconds * _MICROSECONDS)
        fresh = pd.DataFrame({"moment": moments, "rows": 1, "cost_pico": cost_pico, "tokens": tokens})
        fresh = fresh.groupby("moment").sum()
        self._sums = fresh if self._sums is None else self._sums.add(fresh, fill_value=0).astype("int64")
        while len(self._sums) > _MOST_MOMENTS:
            self.seconds *= 2
            self._sums = self._sums.groupby(self._sums.index // 2).sum()

    def moments(self) -> list[tuple[int, int, int, int]]:
        """Return (start in unix seconds, rows, pico-USD, tokens) of each moment in which rows were finished."""
        if self._sums is None:
            return []
        starts = (self._sums.index.to_numpy() * self.seconds).tolist()
        return list(zip(starts, *(self._sums[name].tolist() for name in COLUMNS), strict=True))
