"""Which way of asking for typed answers this endpoint takes: found once, kept for the run.

Where the endpoint lists its parameters, the best rung is known. Where it does not, the first
row is the probe: it is asked on the best rung, and again on the next one for as long as the
endpoint refuses the rung or lets it pass unread. Nobody else is sent until that is settled,
so a rung costs one request at most, and the request is a row's own, in its books.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from parquill.answers import OutputMode


class OutputModeChoice:
    """The rung in force; steps down, never up."""

    def __init__(self, ladder: Sequence[OutputMode], *, known: bool, notice: Callable[[str], object]) -> None:
        """`ladder`: best first. `known`: the endpoint said that it takes the first of them."""
        self._ladder = tuple(ladder)
        self._at = 0
        self._notice = notice
        self._probing = asyncio.Lock()
        self._settled = known or len(self._ladder) == 1

    @property
    def output_mode(self) -> OutputMode:
        """The rung in force now."""
        return self._ladder[self._at]

    @property
    def settled(self) -> bool:
        """Whether the rung in force is known to work."""
        return self._settled

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the rung is settled, or hold the turn of the one row that finds out."""
        if not self._settled:
            async with self._probing:
                if not self._settled:
                    yield
                    return
        yield

    def confirm(self) -> None:
        """The rung in force gave a typed answer."""
        self._settled = True

    def step_down(self, refused: OutputMode, why: str) -> bool:
        """Leave a rung that the endpoint refuses; False when there is none below it.

        Rows that were sent on the same rung hear of it one after another: only the first
        one steps.
        """
        if refused is not self.output_mode:
            return True
        if self._at + 1 == len(self._ladder):
            return False
        self._at += 1
        self._settled = self._settled or self._at + 1 == len(self._ladder)
        self._notice(f"the endpoint does not take {refused.value} ({why}); going on with {self.output_mode.value}")
        return True
