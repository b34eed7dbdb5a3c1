"""Chooses the output mode (how typed answers are asked for): found once, kept for the run.

Where the endpoint lists its parameters, the best mode is known. Where it does not, the first row is the probe. It
is asked in the best mode, and in the next one for as long as the endpoint refuses the mode or ignores it. All
other rows wait until the mode is known. So a mode costs one request at most, and that request is booked with its
row. See ADR 0004.

An endpoint that refuses a word of the schema is asked in the same mode without it, by one row first: the others wait
until that row is answered. What is left out is checked in every answer here, so nothing is lost but guidance.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from parquill.answers import OutputMode, refused_words, refuses_mode

_log = logging.getLogger(__name__)


class OutputModeChoice:
    """The output mode in force; falls back to the next one, never goes back."""

    def __init__(self, modes: Sequence[OutputMode], *, known: bool, notice: Callable[[str], object]) -> None:
        """`modes`: best first. `known`: the endpoint said that it takes the first of them."""
        self._modes = tuple(modes)
        self._at = 0
        self._notice = notice
        self._probing = asyncio.Lock()
        self._settled = known or len(self._modes) == 1
        self._words_settled = True
        self.left_out: frozenset[str] = frozenset()
        """Words of the schema that the endpoint refused."""

    @property
    def output_mode(self) -> OutputMode:
        """The output mode in force now."""
        return self._modes[self._at]

    @property
    def settled(self) -> bool:
        """Whether nothing has to be found out before a row is asked."""
        return self._settled and self._words_settled

    @property
    def is_probed(self) -> bool:
        """Whether the output mode in force is known to work, or that the endpoint reads its schema."""
        return self._settled

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Wait until the output mode is settled, or hold the turn of the row that probes it; give whether it does."""
        if not self.settled:
            async with self._probing:
                if not self.settled:
                    yield True
                    return
        yield False

    def confirm(self) -> None:
        """The output mode in force gave a typed answer."""
        if not self._settled:
            _log.info("output mode %s works", self.output_mode.value)
        self._settled = True

    def answered(self, left_out: frozenset[str]) -> None:
        """A request without these words was answered, with whatever."""
        self._words_settled = self._words_settled or left_out == self.left_out

    def refused(
        self, output_mode: OutputMode, left_out: frozenset[str], sent: frozenset[str], status: int, message: str
    ) -> bool:
        """Take an error reply; return whether the row is worth asking again, in the way that is then in force.

        Args:
            output_mode: The mode that the row was sent in.
            left_out: The words that its schema was sent without.
            sent: The words of its schema that could be left out.
            status: The reply's HTTP status.
            message: The endpoint's words.
        """
        if words := refused_words(status, message, sent):
            return self._leave_out(output_mode, left_out, words, message)
        return refuses_mode(status, message) and self.step_down(output_mode, message)

    def _leave_out(self, output_mode: OutputMode, left_out: frozenset[str], words: frozenset[str], why: str) -> bool:
        if output_mode is self.output_mode and left_out == self.left_out:
            self.left_out |= words
            self._settled, self._words_settled = True, False
            _log.info("%d words of the schema are refused and left out", len(words))
            self._notice(
                f"the endpoint does not take {', '.join(sorted(words))} in a schema ({why}); it is sent without, and "
                "every answer is checked for it here"
            )
        return True

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
        _log.info("output mode %s is refused; going on with %s", refused.value, self.output_mode.value)
        self._notice(f"the endpoint does not take {refused.value} ({why}); going on with {self.output_mode.value}")
        return True
