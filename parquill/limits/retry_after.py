"""Reads how long a server asks to wait, in the many ways servers write it.

Sources, the first that can be read wins: `retry-after-ms`; `Retry-After` (seconds or an HTTP
date, RFC 9110 section 10.2.3; `llm_provider-retry-after` where LiteLLM stands between); a number
in the reply's body; `X-RateLimit-Reset` and its kin (unix time in seconds or milliseconds, small
numbers of seconds, Go durations like "1m30s").
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

LONGEST = 300.0
"""Seconds; a longer wait is cut to this, unless it is a day's reset."""
DAY = 86_400.0
_RESETS = (
    "x-ratelimit-reset",
    "ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_STEP = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|h|m|s)")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")


@dataclass(frozen=True, slots=True)
class Wait:
    """`seconds` within [0, 300]; `full` is what was asked for, up to a day, for daily resets."""

    seconds: float
    full: float


def wait_seconds(
    headers: Mapping[str, str], body_hint: float | None, now_wall: float, *, resets: bool = True
) -> Wait | None:
    """Return how long the server asks to wait; None when it does not say.

    `headers` in any case; `body_hint` in seconds, as in `error.metadata.retry_after_seconds`;
    `now_wall` in unix seconds; `resets`: whether the reset of a limit counts too. A time
    that has passed is a wait of zero; nonsense is skipped.
    """
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    found = _milliseconds(lower.get("retry-after-ms"))
    if found is None:
        found = _retry_after(lower.get("retry-after", lower.get("llm_provider-retry-after")), now_wall)
    if found is None and body_hint is not None and math.isfinite(body_hint) and body_hint >= 0:
        found = body_hint
    if found is None and resets:
        # Requests and tokens have a reset each: the limit that was hit is the one that lasts.
        moments = [reset_seconds(lower[name], now_wall) for name in _RESETS if name in lower]
        found = max((seconds for seconds in moments if seconds is not None), default=None)
    if found is None:
        return None
    full = min(max(found, 0.0), DAY)
    return Wait(seconds=min(full, LONGEST), full=full)


def _number(text: str | None) -> float | None:
    if text is None or len(text) > 40 or not _NUMBER.fullmatch(text):
        return None
    return float(text)


def _milliseconds(text: str | None) -> float | None:
    value = _number(text)
    return None if value is None else value / 1000.0


def _retry_after(text: str | None, now_wall: float) -> float | None:
    value = _number(text)
    if value is not None or text is None:
        return value
    return _until_date(text, now_wall) if "," in text else _duration(text)


def _until_date(text: str, now_wall: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp() - now_wall)
    except (ValueError, OverflowError, TypeError):
        return None


def reset_seconds(text: str, now_wall: float) -> float | None:
    """Return the seconds that an `x-ratelimit-reset` means; None where it cannot be read.

    A moment within a day of now, in seconds or milliseconds, is a date; a small number a wait.
    """
    value = _number(text)
    if value is None:
        return _duration(text)
    for moment in (value, value / 1000.0):
        if abs(moment - now_wall) <= DAY * 1.05:
            return max(0.0, moment - now_wall)
    return value if value <= DAY else None


def _duration(text: str) -> float | None:
    """Read a Go duration: "1m30s", "12ms", "6h0m0.5s"."""
    if len(text) > 40:
        return None
    total, end = 0.0, 0
    for step in _STEP.finditer(text):
        if step.start() != end:
            return None
        total += float(step[1]) * _UNITS[step[2]]
        end = step.end()
    return total if end == len(text) and end else None
