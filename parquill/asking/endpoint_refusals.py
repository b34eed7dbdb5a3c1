"""Refusals in a run of one or several endpoints: each endpoint's are weighed against its own answers.

With several, a refused row is asked at another endpoint first, at each of them once. An endpoint that refuses as
`refusals.py` says takes no further part; the run is refused when none is left. The decision is docs/adr/0013.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from parquill.asking.refusals import Refusal, Refusals, Row
from parquill.clock import Clock
from parquill.endpoint import EndpointFacts
from parquill.errors import Stop
from parquill.ledger import Spend
from parquill.limits import RunGate


class EndpointRefusals:
    """The refusals of a run's process, by endpoint."""

    def __init__(self, each: Sequence[Refusals], gate: RunGate) -> None:
        self._each = tuple(each)
        self._gate = gate

    @classmethod
    def of_run(
        cls, gate: RunGate, every: Sequence[EndpointFacts], clock: Clock, *, before: Spend, now: Spend
    ) -> EndpointRefusals:
        """Weigh the refusals of a run; `before`: what it had booked when this command began, `now`: by now.

        `every`: what each endpoint says of itself.
        Which of several endpoints other processes had answers from is not known.
        """
        alone = len(every) == 1
        here = alone and now.completion_tokens > before.completion_tokens
        earlier = before.completion_tokens > 0
        each = [
            Refusals(
                facts.base_url,
                clock,
                functools.partial(gate.leave, at, Stop.REFUSED),
                advice=facts.address_advice,
                answered_here=here,
                answered_before=earlier,
                doubts=gate.at(at).hold if not alone else lambda _: None,
            )
            for at, facts in enumerate(every)
        ]
        return cls(each, gate)

    def sent(self, row: Row, at: int) -> None:
        """Note that a request of this row leaves now."""
        self._each[at].sent(row)

    def ended(self, row: Row, at: int, *, answered: bool) -> None:
        """Note how the request ended; `answered`: with a completion, whatever it is worth."""
        self._each[at].ended(row, answered=answered)

    def other_end(self, at: int) -> None:
        """Note that a row ended there with another fault."""
        self._each[at].other_end()

    def goes_elsewhere(self, row: Row, refusal: Refusal, refused: frozenset[int]) -> bool:
        """Say whether a refused row is to be asked at an endpoint that has not refused it; it is noted then."""
        if not any(at != refusal.at and at not in refused for at in self._gate.open_endpoints):
            return False
        self._each[refusal.at].first(row, refusal)
        return True

    def judge(self, row: Row, refusal: Refusal, earlier: Refusal | None) -> None:
        """Take in that a row was refused by all; the second time where there is an `earlier` refusal."""
        own = self._each[refusal.at]
        if earlier is None:
            own.first(row, refusal)
        else:
            own.again(row, refusal, earlier if earlier.at == refusal.at else refusal)

    def again(self, row: Row, refusal: Refusal) -> None:
        """Take in that a refused row is not asked again."""
        self._each[refusal.at].again(row, refusal, refusal)

    def takes_part(self, at: int) -> bool:
        """Whether an endpoint takes requests of this run."""
        return at in self._gate.open_endpoints

    def is_known(self, refusal: Refusal) -> bool:
        """Whether the row can be asked again, or its fault told: its endpoint has answered since, or is left out."""
        return not self.takes_part(refusal.at) or self._each[refusal.at].is_known(refusal)

    def asks_again(self, refusal: Refusal) -> bool:
        """Whether a second request may tell more about this refusal."""
        return not self.takes_part(refusal.at) or self._each[refusal.at].asks_again(refusal)

    def all_alike(self) -> bool:
        """Stop the run where it has no further row, and each endpoint refused all of its rows alike."""
        for at in self._gate.open_endpoints:
            self._each[at].all_alike()
        return self._gate.closed is not None

    async def clear(self) -> None:
        """Wait until it is decided whether the run's only endpoint refuses everything; of several, each gate waits."""
        if len(self._each) == 1:
            await self._each[0].clear()

    def release(self) -> None:
        """Decide nothing any more: the run stops."""
        for one in self._each:
            one.release()
