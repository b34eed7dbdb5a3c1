"""Reads an endpoint's limits from its replies, in OpenAI's headers.

`x-ratelimit-limit-requests` and `-tokens`, with `-remaining-` and `-reset-` beside them: OpenAI,
Azure, Groq, Fireworks and gateways such as LiteLLM send them, and mean a minute by them, but not
all and not always (Groq's requests are a day's). The reset tells: a limit that is whole again
after more than a minute is none per minute. What LiteLLM passes on of its upstream's headers
(`llm_provider-…`) is not read: it speaks of one of the deployments behind it.

A limit is believed when three replies in a row say the same, refusals among them, and no longer when the endpoint
takes far more than it said. Limits that the job names are never read here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from parquill.limits.retry_after import reset_seconds

MOST = 10**12
MINUTE = 61.0
WHOLE = (45.0, 75.0)
"""Seconds that an empty bucket takes to fill, by its reset and what was used: of a minute's limit."""
LONG = 3000.0
"""The same of an hour's or a day's limit: while little is used, its reset is within a minute too."""
BRIEF = 1.5
"""Seconds of a reset below which a fixed window may be one of a second."""
AGREED = 3
FAR_MORE = 3
"""A fixed window lets twice a limit through within a minute, and answers bunch."""


@dataclass(frozen=True, slots=True)
class HeaderLimit:
    """One limit as an answer tells it.

    `limit` per minute, infinite where it turns out to be of a longer time; `used` of it at the
    server, None when it does not say.
    """

    limit: float
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer says of the limits per minute; None where it says nothing that can be used."""

    requests: HeaderLimit | None
    tokens: HeaderLimit | None

    def shared_by(self, count: int) -> Told:
        """Return what each of `count` gates may take for its own: an equal part, and of what is used as well."""
        return self if count == 1 else Told(_part(self.requests, count), _part(self.tokens, count))


def _part(quota: HeaderLimit | None, count: int) -> HeaderLimit | None:
    if quota is None:
        return None
    used = None if quota.used is None else -(-quota.used // count)
    return HeaderLimit(quota.limit if quota.limit == math.inf else max(1, quota.limit // count), used)


def read_quotas(headers: Mapping[str, str], now_wall: float) -> Told | None:
    """Return what a reply's `headers` (names in lower case, or a mapping that ignores case) tell.

    `now_wall` in unix seconds. Nonsense is nothing said.
    """
    requests, tokens = (_quota(headers, name, now_wall) for name in ("requests", "tokens"))
    return None if requests is None and tokens is None else Told(requests, tokens)


def _quota(headers: Mapping[str, str], name: str, now_wall: float) -> HeaderLimit | None:
    limit = _whole(headers.get(f"x-ratelimit-limit-{name}"))
    if not limit:
        return None
    left = _whole(headers.get(f"x-ratelimit-remaining-{name}"))
    used = None if left is None or left > limit else limit - left
    reset = headers.get(f"x-ratelimit-reset-{name}")
    by_minute = _is_by_minute(limit, used, None if reset is None else reset_seconds(reset.strip(), now_wall))
    return None if by_minute is None else HeaderLimit(limit if by_minute else math.inf, used)


def _is_by_minute(limit: int, used: int | None, reset: float | None) -> bool | None:
    """Say whether a limit is a minute's; None when this answer does not show it."""
    if reset is None:
        return True
    if reset > MINUTE:
        return False
    if not used:
        return None
    fills_in = reset * limit / used
    if WHOLE[0] <= fills_in <= WHOLE[1]:
        return True
    return True if reset > BRIEF and fills_in < LONG else None


def _whole(text: str | None) -> int | None:
    if text is None or len(text) > 15 or not text.strip().isdecimal():
        return None
    value = int(text)
    return value if value <= MOST else None


class Belief:
    """A limit that was told, as far as it is believed: infinite until then."""

    __slots__ = ("_answers", "_deaf", "_said", "_since", "_times", "limit")

    def __init__(self) -> None:
        self.limit = math.inf
        self._said = math.inf
        self._times = 0
        self._since = -math.inf
        self._answers = 0.0
        self._deaf = False

    def hear(self, now: float, limit: float, weight: float) -> bool:
        """Hear a limit with an answer that weighs so much against it; say whether the belief has changed."""
        if self._deaf:
            return False
        if now - self._since > MINUTE:
            self._since, self._answers = now, 0.0
        self._answers += weight
        if self._answers > FAR_MORE * limit:
            self._deaf = True
            return self._believe(math.inf)
        if limit != self._said:
            self._said, self._times = limit, 0
        self._times += 1
        return self._times >= AGREED and self._believe(limit)

    def _believe(self, limit: float) -> bool:
        changed, self.limit = limit != self.limit, limit
        return changed
