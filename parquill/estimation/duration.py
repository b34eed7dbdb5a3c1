"""Estimates how long the run takes: at the known limits, else at the speed of the last run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parquill.job import LimitSettings
from parquill.storage import Storage
from parquill.summary import RunRecord, TokenCounts
from parquill.text import count, rate
from parquill.workspace import Workspace

_ENOUGH = 100
"""Requests that a run must have sent for its speed to mean anything."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for the work, None where nothing is known; `said` names what decides it."""

    seconds: float | None
    said: str


def pace(requests: int, tokens: TokenCounts, limits: Sequence[LimitSettings], workspace: Workspace) -> Pace:
    """Return how long so many requests take at endpoints with these `limits`."""
    if not requests:
        return Pace(0.0, "")
    known = [_at_limits(requests, tokens, one) for one in limits]
    if len(known) == 1 and known[0]:
        return _longest(known[0])
    if len(known) > 1 and all(known) and all(_longest(one).seconds for one in known):
        return _together(requests, [_longest(one) for one in known])
    speed = _last_speed(workspace)
    if speed is None:
        return Pace(None, "no limit is set and no earlier run shows how fast it goes")
    return Pace(requests / speed, f"{rate(speed)} rows a second, as the last run")


def _longest(found: Sequence[Pace]) -> Pace:
    return max(found, key=lambda one: one.seconds or 0.0)


def _together(requests: int, alone: Sequence[Pace]) -> Pace:
    """The time at several endpoints, each of which takes as many of the requests as its limits let through."""
    seconds = 1.0 / sum(1.0 / one.seconds for one in alone if one.seconds)
    return Pace(seconds, f"at {rate(60.0 * requests / seconds)} requests a minute, {len(alone)} endpoints together")


def _at_limits(requests: int, tokens: TokenCounts, limits: LimitSettings) -> list[Pace]:
    found = []
    if (per_minute := limits.requests_per_minute) is not None:
        found.append(Pace(60.0 * requests / per_minute, f"at {count(per_minute)} requests a minute"))
    if (per_minute := limits.tokens_per_minute) is not None:
        all_tokens = tokens.prompt + tokens.completion
        found.append(Pace(60.0 * all_tokens / per_minute, f"at {count(per_minute)} tokens a minute"))
    if limits.requests_per_day is not None and limits.wait:
        days = (requests - 1) // limits.requests_per_day
        found.append(Pace(_DAY * days, f"at {count(limits.requests_per_day)} requests a day"))
    return found


def _last_speed(workspace: Workspace) -> float | None:
    """Requests a second of the newest run that sent enough of them."""
    folder = Storage.at(workspace.runs)
    for entry in sorted(folder.files(), key=lambda one: one.name, reverse=True):
        try:
            summary = RunRecord.load(folder.read_bytes(entry.name)).summary
        except ValueError:
            continue
        if summary.requests >= _ENOUGH and summary.seconds > 0:
            return summary.requests / summary.seconds
    return None
