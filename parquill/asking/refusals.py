"""Whose fault a refusal is: the row's or the run's. What else is answered decides, not the endpoint's words.

A refused row is held: it has no outcome yet. Then one of these comes:

- `FIRST` rows were refused alike, and no request that was under way meanwhile is answered: the run stops,
  and none of its rows has failed. In a smaller job it stops when all of its rows were refused alike.
- Another row is answered by a request sent after the refused one: the endpoint takes this key and this model.
  The row is asked once more, and the same refusal is its error.

While `FIRST` refusals are in doubt (a refusal comes faster than an answer), no further row is sent. Of each
kind of refusal, `ASKED_AGAIN` rows are asked again: from then on it is known whose fault it is. A request whose
form is refused (`bad_request`) is not sent again as it is.

The decision is docs/adr/0011. Depends on the clock only.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from parquill.clock import Clock
from parquill.errors import ErrorKind

_log = logging.getLogger(__name__)

FIRST = 10
"""Rows refused alike, with no answer in between, after which the run is refused."""
ASKED_AGAIN = 10
"""Rows of one kind of refusal that are asked a second time."""

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\S*[\d/]\S*")
"""What differs between two refusals of one kind: quoted values, numbers, ids, addresses."""
_COMPARED = 500
"""Characters of a message."""
_BAD_KEY = 401
_OF_THE_KEY = frozenset({_BAD_KEY, 403})
"""Only an answer to this process's key shows that such a refusal is the row's."""

Row = tuple[int, int]
"""A row's slice in the ledger, and its place there."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final fault that may be the row's or the run's.

    `message` is for the row's error, `of_run` for the run's stop; `sent_at` is when the request left, on the
    clock's monotonic time; `estimated_pico` is what the row was expected to cost.
    """

    kind: ErrorKind
    status: int
    message: str
    of_run: str
    sent_at: float
    estimated_pico: int | None = None
    at: int = 0
    """Which of the run's endpoints refused."""

    @property
    def likeness(self) -> tuple[int, str]:
        """What two refusals of one kind have in common."""
        return self.status, " ".join(_VARYING.sub(" ", self.message.lower()[:_COMPARED]).split())[:160]


class HeldError(Exception):
    """The row was refused, and it is not known yet whose fault that is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Refusals:
    """Weighs one endpoint's refusals against its answers; one for a run's process, in its event loop."""

    def __init__(
        self,
        address: str,
        clock: Clock,
        stop: Callable[[str], object],
        *,
        advice: str = "",
        answered_here: bool = False,
        answered_before: bool = False,
        doubts: Callable[[bool], object] = lambda _: None,
    ) -> None:
        """`address`: the endpoint's. `stop` ends the run with a message, and with `advice` where there is some.

        `answered_here`: other processes of this command had answers with the same key; `answered_before`: an
        earlier command had some in this run, perhaps with another key. `doubts` is told when it is in doubt whether
        everything is refused, and when it is so no more.
        """
        self._address = address
        self._clock = clock
        self._stop = stop
        self._advice = f". {advice}" if advice else ""
        self._doubts = doubts
        self._answered = answered_here
        self._answered_before = answered_before
        self._last_answer = -math.inf
        """When the latest of the answered requests was sent."""
        self._ended_otherwise = False
        self._pending: dict[Row, float] = {}
        self._recent: dict[tuple[int, str], dict[Row, Refusal]] = {}
        self._confirmed: Counter[tuple[int, str]] = Counter()
        self._in_doubt: tuple[int, str] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def sent(self, row: Row) -> None:
        """Note that a request of this row leaves now."""
        self._pending[row] = self._clock.monotonic()

    def ended(self, row: Row, *, answered: bool) -> None:
        """Note how the request ended; `answered`: with a completion, whatever it is worth."""
        sent_at = self._pending.pop(row, -math.inf)
        if answered:
            self._answered = True
            self._last_answer = max(self._last_answer, sent_at)
            if self._recent:
                self._forget()
        if self._in_doubt is not None:
            self._decide(self._in_doubt)

    def other_end(self) -> None:
        """Note that a row ended at the endpoint with another fault: the rows of this job do not all end alike."""
        self._ended_otherwise = True

    def judge(self, row: Row, refusal: Refusal, earlier: Refusal | None) -> None:
        """Take in that a row was refused, the second time where there is an `earlier` refusal; the run may stop."""
        if earlier is None:
            self.first(row, refusal)
        else:
            self.again(row, refusal, earlier)

    def first(self, row: Row, refusal: Refusal) -> None:
        """Take in that a row was refused for the first time; it is held, or the run stops."""
        self._recent.setdefault(refusal.likeness, {})[row] = refusal
        if len(self._recent[refusal.likeness]) >= FIRST:
            self._decide(refusal.likeness)

    def again(self, row: Row, refusal: Refusal, earlier: Refusal) -> bool:
        """Take in that a row was refused the second time; False: the refusal is not the row's, the run stops."""
        likeness = earlier.likeness
        alike = self._recent.get(likeness, {})
        if not self.is_known(earlier) and self._is_of_run(earlier, others=len(alike.keys() - {row})):
            self._refuse(refusal, len(alike))
            return False
        self._confirmed[likeness] += 1
        _log.info("status %d was given twice to one row: it is taken for the row's fault", refusal.status)
        if alike.pop(row, None) is not None and not alike:
            del self._recent[likeness]
        return True

    def is_known(self, refusal: Refusal) -> bool:
        """Whether a request sent after the refused one was answered: the fault is the row's."""
        return self._last_answer > refusal.sent_at

    def asks_again(self, refusal: Refusal) -> bool:
        """Whether a second request may tell more about this refusal."""
        if refusal.kind is not ErrorKind.REFUSED:
            return not (self.is_known(refusal) or self._takes(refusal))
        return not self.is_known(refusal) or self._confirmed[refusal.likeness] < ASKED_AGAIN

    def all_alike(self) -> bool:
        """Stop the run where it has no further row, and each of its rows was refused alike."""
        if len(self._recent) != 1 or self._ended_otherwise:
            return False
        (rows,) = self._recent.values()
        latest = list(rows.values())[-1]
        if self._takes(latest):
            return False
        self._refuse(latest, len(rows))
        return True

    async def clear(self) -> None:
        """Wait until it is decided whether the run is refused; returns at once unless that is in doubt."""
        while self._in_doubt is not None:
            decided = asyncio.get_running_loop().create_future()
            self._waiting.append(decided)
            await decided

    def release(self) -> None:
        """Decide nothing any more: the run stops, and the rows that wait hear of it at the gate."""
        if self._in_doubt is not None:
            self._in_doubt = None
            self._doubts(False)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _takes(self, refusal: Refusal) -> bool:
        """Whether the endpoint is known to have taken this run's key and model."""
        return self._answered or (self._answered_before and refusal.status not in _OF_THE_KEY)

    def _is_of_run(self, refusal: Refusal, *, others: int) -> bool:
        """Say whose fault a refusal is that no answer followed, with so many others like it."""
        if refusal.status == _BAD_KEY:
            return others > 0 or not self._answered
        return others > 0 and not self._takes(refusal)

    def _forget(self) -> None:
        """Drop the refusals that were followed by an answer."""
        for likeness, rows in list(self._recent.items()):
            known = [row for row, refusal in rows.items() if self.is_known(refusal)]
            for row in known:
                del rows[row]
            if not rows:
                del self._recent[likeness]

    def _decide(self, likeness: tuple[int, str]) -> None:
        """Stop the run once no request is under way whose answer would speak against it."""
        rows = self._recent.get(likeness, {})
        if len(rows) < FIRST:
            self.release()
            return
        refused = list(rows.values())
        since = min(refusal.sent_at for refusal in refused) if self._answered else -math.inf
        if any(sent_at > since for sent_at in self._pending.values()):
            self._in_doubt = likeness
            self._doubts(True)
            return
        self.release()
        self._refuse(refused[-1], len(rows))

    def _refuse(self, refusal: Refusal, rows: int) -> None:
        _log.info("status %d to %d rows is taken for the run's fault: the run stops", refusal.status, rows)
        alike = f"{rows} rows in a row were refused alike" if rows > 1 else "its only row was refused"
        self._stop(
            f"{refusal.of_run} (by {self._address}: {alike}, and no row is marked as failed for it){self._advice}"
        )
