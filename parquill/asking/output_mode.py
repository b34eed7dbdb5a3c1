"""Chooses the output mode (how typed answers are asked for): found once, kept for the run.

Where the endpoint lists its parameters, the best mode is known. Where it does not, the first row is the probe. It
is asked in the best mode, and in the next one for as long as the endpoint refuses the mode or ignores it. All
other rows wait until the mode is known. So a mode costs one request at most, and that request is booked with its
row. See ADR 0004.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from parquill.answers import OutputMode


class OutputModeChoice:
    """The output mode in force; falls back to the next one, never goes back."""

    def __init__(self, modes: Sequence[OutputMode], *, known: bool, notice: Callable[[str], object]) -> None:
        """`modes`: best first. `known`: the endpoint said that it takes the first of them."""
        self._modes = tuple(modes)
        self._at = 0
        self._notice = notice
        self._probing = asyncio.Lock()
        self._settled = known or len(self._modes) == 1

    @property
    def output_mode(self) -> OutputMode:
        """The output mode in force now."""
        return self._modes[self._at]

    @property
    def settled(self) -> bool:
        """Whether the output mode in force is known to work."""
        return self._settled

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the output mode is settled, or hold the turn of the row that probes it."""
        if not self._settled:
            async with self._probing:
                if not self._settled:
                    yield
                    return
        yield

    def confirm(self) -> None:
        """The output mode in force gave a typed answer."""
        self._settled = True

    def step_down(self, refused: OutputMode, why: str) -> bool:
        """Leave a mode that the endpoint refuses; False when there is none after it.

        Rows that were sent in the same mode hear of it one after another: only the first
        one steps.
        """
        if refused is not self.output_mode:
            return True
        if self._at + 1 == len(self._modes):
            return False
        self._at += 1
        self._settled = self._settled or self._at + 1 == len(self._modes)
        self._notice(f"the endpoint does not take {refused.value} ({why}); going on with {self.output_mode.value}")
        return True
