"""Computes speed as differences over a short window, so that a pause shows at once."""

from __future__ import annotations

from collections import deque

from parquill.run_state import RunState


class RateWindow:
    """Rows and tokens a second over the last `seconds`, or over the last two looks if those are further apart."""

    __slots__ = ("_looks", "_seconds")

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._looks: deque[tuple[float, int, int]] = deque()

    def look(self, state: RunState) -> tuple[float, float]:
        """Take the state in and return (rows/s, tokens/s); kept rows do not count, nor does a first look."""
        tokens = state.progress.tokens.prompt + state.progress.tokens.completion
        self._looks.append((state.seconds, state.progress.rows.fresh, tokens))
        while len(self._looks) > 2 and self._looks[1][0] <= state.seconds - self._seconds:
            self._looks.popleft()
        (start, rows_then, tokens_then), (end, rows_now, tokens_now) = self._looks[0], self._looks[-1]
        if end <= start:
            return 0.0, 0.0
        return (rows_now - rows_then) / (end - start), (tokens_now - tokens_then) / (end - start)
