"""What may happen to the gate, and what a step decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from parquill.errors import Stop
from parquill.limits.values import Reply, Ticket

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
class Tick:
    """Time has passed."""


Event = Reserve | Admit | Settle | Release | Close | Tick


class Decisions:
    """What a step decided: whose phase has changed (they go on, or are sent home), when to look again."""

    __slots__ = ("decided", "wake_at")

    def __init__(self) -> None:
        self.decided: list[Ticket] = []
        self.wake_at = NEVER
