"""Notices about requests in doubt: a process ended before their replies came."""

from __future__ import annotations

from parquill.ledger import Spend
from parquill.money import usd


def doubt_notices(run: Spend) -> tuple[str, ...]:
    """Return what to say of a run's requests that may have been paid twice, whichever of its processes died."""
    if not run.doubts:
        return ()
    were = "requests were" if run.doubts > 1 else "request was"
    return (
        f"{run.doubts} {were} in flight when a process of this run died: booked at worst case, "
        f"${usd(run.doubt_pico)}, and asked again",
    )
