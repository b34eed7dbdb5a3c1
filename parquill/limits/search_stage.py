"""Finds a limit that the endpoint does not name, by a bracket between a clean and a refused value.

AIMD meets the limit again and again; ADR 16 has the figures of both. A bracket is narrowed to 2 %,
the clean end is kept, and the next value is tried rarely; so a limit once found costs next to
nothing. When the limit has changed, the clean end is refused (cuts grow from 3 % to a half) or
the refused end is clean (steps grow likewise).

`rate_search.RateSearch` looks for requests per minute and needs 65 s at a value to call it clean: a whole
window of the server's. `concurrency_search.ConcurrencySearch` looks for requests in flight and needs two turnovers;
where nothing is ever refused it grows only while more in flight gets more answers a second.
"""

from __future__ import annotations

from enum import Enum

SMALL_CUT = 0.03
LARGEST_CUT = 0.5


class Stage(Enum):
    """What a search is doing."""

    FREE = "free"  # nothing was ever refused
    CHECK = "check"  # is this value clean?
    PROBE = "probe"  # is a value just above the found one clean?
    HOLD = "hold"  # found
