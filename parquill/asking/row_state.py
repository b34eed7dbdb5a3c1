"""State of a row while it is asked: step, cost so far, time left."""

from __future__ import annotations

from dataclasses import dataclass

from parquill.asking.refusals import Refusal, Row
from parquill.asking.row_costs import RowCosts
from parquill.booking import Booking
from parquill.chat import ImageFigures
from parquill.limits import NO_ENDPOINT


@dataclass(frozen=True, slots=True)
class RowRef:
    """Where a row stands in the ledger."""

    slice_id: int
    row: int
    fingerprint: bytes | None
    part: str

    @property
    def key(self) -> Row:
        """Number of the row's slice in the ledger, and of the row in it."""
        return self.slice_id, self.row


Pictures = tuple[ImageFigures | None, ...] | None
"""`ItemResult.images`."""


class RowState:
    """A row while it is being asked: its account, its clock, and the attempt not yet settled."""

    __slots__ = (
        "account", "at", "avoid", "first_sent", "gate_seconds", "images", "is_over", "last_latency_ms", "limited",
        "ref", "refusal", "refused", "reply_seconds", "rest", "sent_at", "throttles", "tries", "unsettled",
    )  # fmt: skip

    def __init__(self, ref: RowRef, account: RowCosts) -> None:
        self.ref = ref
        self.account = account
        self.images: Pictures = None
        self.refusal: Refusal | None = None
        """The endpoint's, where it is not known yet whose fault it is."""
        self.at = 0
        """Which of the run's endpoints its latest request went to."""
        self.avoid: int | None = None
        """The endpoint that failed its latest request."""
        self.refused = NO_ENDPOINT
        """The endpoints that refused it, before it was asked again for that."""
        self.first_sent: float | None = None
        self.gate_seconds = 0.0
        self.tries = 0
        self.throttles = 0
        self.limited = 0
        """Tries that ended in a way that more of them do not change."""
        self.rest: float | None = None
        """Seconds until its next try, where the endpoint or the gate decides them; None: the row's own wait."""
        self.is_over = False
        """The endpoint asks it to wait for longer than it has."""
        self.last_latency_ms: int | None = None
        self.sent_at = 0.0
        """When its latest request left, on the clock's monotonic time."""
        self.reply_seconds = 0.0
        """How long the last reply took that came whole."""
        self.unsettled: tuple[int, Booking] | None = None
        """An attempt whose outcome goes to the ledger together with the row's."""

    def begin_again(self) -> None:
        """Give the row a new deadline and new attempts; what it cost so far still counts."""
        self.first_sent, self.gate_seconds = None, 0.0
        self.tries = self.throttles = 0
