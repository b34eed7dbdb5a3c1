"""Events that the gate gets, and decisions that a step returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

from parquill.errors import Stop
from parquill.limits.tickets import Reply, Ticket

NEVER = math.inf


@dataclass(slots=True)
class Reserve:
    """An attempt asks for money."""

    ticket: Ticket


@dataclass(slots=True)
class Admit:
    """A reserved attempt asks to be sent."""

    ticket: Ticket


@dataclass(slots=True)
class Offer:
    """A reserved attempt is sent if that may be at once; else nothing happens."""

    ticket: Ticket


@dataclass(slots=True)
class Settle:
    """A sent attempt has ended."""

    ticket: Ticket
    cost_pico: int
    tokens: int | None
    reply: Reply


@dataclass(slots=True)
class Release:
    """An attempt is given up: not sent, and not going to be."""

    ticket: Ticket


@dataclass(slots=True)
class Close:
    """The run stops."""

    stop: Stop
    message: str


@dataclass(slots=True)
class Leave:
    """The endpoint takes no more requests of this run."""

    stop: Stop
    message: str


@dataclass(slots=True)
class Hold:
    """Nothing is sent to the endpoint from now on, or again: it is not known yet whether it refuses everything."""

    holds: bool


@dataclass(slots=True)
class Tick:
    """Time has passed."""


@dataclass(slots=True)
class Looked:
    """A look at the endpoint has ended; `found`: it replied, and not with a fault."""

    found: bool


Event = Reserve | Admit | Offer | Settle | Release | Close | Leave | Hold | Tick | Looked


class Decisions:
    """What a step decided: whose phase has changed (they go on, or are sent home), when to wake up.

    `look`: the endpoint is to be looked at now, by a request that costs nothing.
    """

    __slots__ = ("decided", "look", "wake_at")

    def __init__(self) -> None:
        self.decided: list[Ticket] = []
        self.look = False
        self.wake_at = NEVER
